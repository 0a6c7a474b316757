#include <pybind11/pybind11.h>

#include "bindings.hpp"

PYBIND11_MODULE(_core, m) {
    m.doc() =
        "C++ core of distillex_matcher: matching, features, CRF decoding. Offsets are Unicode code points.";
    distillex::bind_text(m);
    distillex::bind_trie(m);
    distillex::bind_lexicon(m);
    distillex::bind_featurizer(m);
    distillex::bind_label_scheme(m);
    distillex::bind_crf(m);
}
