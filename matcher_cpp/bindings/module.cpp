// The Python module distillex_matcher._core: calls every bind_* function.
#include <pybind11/pybind11.h>

#include "bindings.hpp"

// Safe without the GIL, which every call on a batch releases anyway:
// - Objects of the bound classes are never changed once they are made: all bound methods are const, no class
//   has a mutable member, and each call has buffers of its own.
// - What is shared is written once, under a lock: the static tables of the core (lower case, the kernels) as
//   C++ initialises them, the types of the records by std::call_once, LexiconError while this function runs.
// - Callers' lists and dictionaries are copied before they are walked, their texts held while they are read.
// - Arrays are read where they are: a length is read once and checked, so that an array which another thread
//   writes gives wrong scores, and no access outside it.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    m.doc() =
        "C++ core of distillex_matcher: matching, features, CRF decoding. Offsets are Unicode code points.";
    m.attr("__version__") = DISTILLEX_VERSION;
    distillex::bind_text(m);
    distillex::bind_trie(m);
    distillex::bind_lexicon(m);
    distillex::bind_featurizer(m);
    distillex::bind_label_scheme(m);
    distillex::bind_crf(m);
}
