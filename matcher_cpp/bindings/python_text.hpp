// Python's texts seen without a copy.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "distillex/text.hpp"

namespace distillex {

// A sequence's items, held by a tuple of ours: what is seen in them stays where it is without the GIL, and
// whatever another thread does to the sequence.
inline pybind11::tuple held(const pybind11::sequence& sequence) { return pybind11::tuple(sequence); }

inline TextView str_view(pybind11::handle object) {
    if (!PyUnicode_Check(object.ptr())) {
        throw pybind11::type_error("expected str, not " + std::string(Py_TYPE(object.ptr())->tp_name));
    }
    const int bytes_a_point = PyUnicode_KIND(object.ptr());
    return {PyUnicode_DATA(object.ptr()), static_cast<std::size_t>(PyUnicode_GET_LENGTH(object.ptr())),
            bytes_a_point == 1   ? TextView::Form::kOneByte
            : bytes_a_point == 2 ? TextView::Form::kTwoBytes
                                 : TextView::Form::kFourBytes};
}

inline std::string_view bytes_view(pybind11::handle object) {
    if (!PyBytes_Check(object.ptr())) {
        throw pybind11::type_error("expected bytes, not " + std::string(Py_TYPE(object.ptr())->tp_name));
    }
    return {PyBytes_AS_STRING(object.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(object.ptr()))};
}

// Of str or bytes.
inline TextView text_view(pybind11::handle object) {
    if (PyBytes_Check(object.ptr())) return TextView::of(bytes_view(object));
    if (PyUnicode_Check(object.ptr())) return str_view(object);
    throw pybind11::type_error("a text is str or bytes, not " + std::string(Py_TYPE(object.ptr())->tp_name));
}

inline std::u32string points_of(pybind11::handle str) {
    std::u32string points;
    append_points(str_view(str), points);
    return points;
}

}  // namespace distillex
