// Binds the BIOES label scheme to Python.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "distillex/label_scheme.hpp"

namespace py = pybind11;

namespace distillex {
namespace {

template <class Test>
py::array_t<bool> mask_of(const LabelScheme& scheme, Test test) {
    py::array_t<bool> mask(scheme.label_count());
    for (std::uint32_t label = 0; label < scheme.label_count(); ++label) mask.mutable_at(label) = test(label);
    return mask;
}

py::array_t<bool> allowed_transitions(const LabelScheme& scheme) {
    py::array_t<bool> mask({scheme.label_count(), scheme.label_count()});
    for (std::uint32_t from = 0; from < scheme.label_count(); ++from) {
        for (std::uint32_t to = 0; to < scheme.label_count(); ++to)
            mask.mutable_at(from, to) = LabelScheme::allowed(from, to);
    }
    return mask;
}

py::array_t<std::int64_t> encode(
    const LabelScheme& scheme, const std::vector<std::tuple<std::int32_t, std::int32_t, std::string>>& spans,
    std::int32_t length) {
    std::vector<LabelledSpan> labelled;
    for (const auto& [start, end, type] : spans) labelled.push_back({start, end, scheme.type_named(type)});
    return to_array(scheme.encode(std::move(labelled), length));
}

py::list decode(const LabelScheme& scheme,
                const py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>& labels) {
    py::list spans;
    for (const LabelledSpan& span : scheme.decode({labels.data(), labels.data() + labels.size()})) {
        spans.append(
            py::make_tuple(span.start, span.end, scheme.entity_types()[static_cast<std::size_t>(span.type)]));
    }
    return spans;
}

}  // namespace

void bind_label_scheme(py::module_& m) {
    py::class_<LabelScheme>(m, "LabelScheme", R"(BIOES labels of a list of entity types.

The labels are ``O, B-t0, I-t0, E-t0, S-t0, B-t1, …``: L = 1 + 4 × types.

Examples
--------
>>> scheme = LabelScheme(["company", "name"])
>>> [scheme.labels[label] for label in scheme.encode([(0, 2, "name"), (3, 4, "company")], 5)]
['B-name', 'E-name', 'O', 'S-company', 'O']
)")
        .def(py::init<std::vector<std::string>>(), py::arg("entity_types"))
        .def_property_readonly("entity_types",
                               [](const LabelScheme& s) { return py::tuple(py::cast(s.entity_types())); })
        .def_property_readonly("labels", [](const LabelScheme& s) { return py::tuple(py::cast(s.labels())); })
        .def("__len__", &LabelScheme::label_count)
        .def("encode", &encode, py::arg("spans"), py::arg("length"),
             R"(Label ids, int64 [length], of spans ``(start, end, type)``.

Raises
------
ValueError
    For a span outside the text, one that overlaps another, or an unknown type.
)")
        .def("decode", &decode, py::arg("labels"),
             R"(Spans ``(start, end, type)`` of a label sequence.

Raises
------
ValueError
    Where the sequence breaks the scheme.
)")
        .def_property_readonly("allowed_transitions", &allowed_transitions,
                               "bool [L, L]; [i, j] is whether label j may follow label i.")
        .def_property_readonly(
            "allowed_starts", [](const LabelScheme& s) { return mask_of(s, LabelScheme::opens); }, "bool [L]")
        .def_property_readonly(
            "allowed_ends", [](const LabelScheme& s) { return mask_of(s, LabelScheme::closes); }, "bool [L]");
}

}  // namespace distillex
