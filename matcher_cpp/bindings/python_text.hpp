// Python strings seen without a copy: CPython stores them as 1, 2 or 4 bytes a code point.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace distillex {

struct PythonText {
    int kind = 1;
    const void* data = nullptr;
    std::size_t length = 0;

    static PythonText of(pybind11::handle object) {
        if (!PyUnicode_Check(object.ptr())) {
            throw pybind11::type_error("expected str, not " + std::string(Py_TYPE(object.ptr())->tp_name));
        }
        return {static_cast<int>(PyUnicode_KIND(object.ptr())), PyUnicode_DATA(object.ptr()),
                static_cast<std::size_t>(PyUnicode_GET_LENGTH(object.ptr()))};
    }

    // Calls use(pointer to code points, length) with the pointer's own width.
    template <class Use>
    auto with(Use&& use) const {
        if (kind == 1) return use(static_cast<const std::uint8_t*>(data), length);
        if (kind == 2) return use(static_cast<const std::uint16_t*>(data), length);
        return use(static_cast<const std::uint32_t*>(data), length);
    }

    std::u32string points() const {
        return with([](const auto* text, std::size_t n) { return std::u32string(text, text + n); });
    }
};

}  // namespace distillex
