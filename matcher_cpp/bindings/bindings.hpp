// What each bind_*.cpp adds to the Python module; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace distillex {

void bind_text(pybind11::module_& m);
void bind_trie(pybind11::module_& m);
void bind_lexicon(pybind11::module_& m);
void bind_featurizer(pybind11::module_& m);
void bind_label_scheme(pybind11::module_& m);
void bind_crf(pybind11::module_& m);

}  // namespace distillex
