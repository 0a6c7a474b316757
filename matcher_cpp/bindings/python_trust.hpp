// Trust as Python says it: a level by its name, a number, or None.
#pragma once

#include <pybind11/pybind11.h>

#include "distillex/trust.hpp"

namespace distillex {

// kTrustUnsaid of None. Throws LexiconError for what is no trust.
Trust trust_from(pybind11::handle value);
pybind11::object trust_shown(Trust trust);

}  // namespace distillex
