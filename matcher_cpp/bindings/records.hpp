// The named tuples of distillex_matcher.records.
#pragma once

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/pybind11.h>

#include <utility>

namespace distillex {

enum class Record { kMatches, kLexiconEntry, kFeatures, kRefusal, kSpans };

constexpr const char* name_of(Record which) {
    switch (which) {
        case Record::kMatches:
            return "Matches";
        case Record::kLexiconEntry:
            return "LexiconEntry";
        case Record::kFeatures:
            return "Features";
        case Record::kRefusal:
            return "Refusal";
        default:
            return "Spans";
    }
}

// Made by tuple.__new__, as a named tuple's own _make does: calling the type would run Python code, which for
// one text would cost as much as its features.
template <Record which, class... Values>
pybind11::object record(Values&&... values) {
    namespace py = pybind11;
    // Imported at the first use: the package of the records imports this module.
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
    const py::object& type =
        storage
            .call_once_and_store_result([] {
                return py::object(py::module_::import("distillex_matcher.records").attr(name_of(which)));
            })
            .get_stored();
    const py::tuple arguments = py::make_tuple(py::make_tuple(std::forward<Values>(values)...));
    PyObject* const made =
        PyTuple_Type.tp_new(reinterpret_cast<PyTypeObject*>(type.ptr()), arguments.ptr(), nullptr);
    if (made == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
}

}  // namespace distillex
