// Any bytes as a text, its first ones as an overlay's words.
#include <cstdlib>
#include <cstring>

#include "distillex/featurizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace distillex;
    static const Featurizer featurizer(
        {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"}, {"n"}, {16, 2, {4, 16, 64}},
        Lexicon::build({{U"ab", "n", false, 1.0F}, {U"b", "n", false, 0.5F}}, Repeats::kRefuse, "", 0));
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    std::u32string points;
    decode_utf8(bytes, points);
    std::vector<std::shared_ptr<const Lexicon>> overlays;
    try {
        overlays = {Lexicon::build({{points.substr(0, 2), "n", false, 1.0}}, Repeats::kLastWins, "", 0)};
    } catch (const LexiconError&) {
    }
    // The bytes as every form of text; as code points they may be any number.
    std::vector<char32_t> wide(size / sizeof(char32_t));
    if (!wide.empty()) std::memcpy(wide.data(), data, wide.size() * sizeof(char32_t));
    std::vector<std::uint16_t> medium(size / sizeof(std::uint16_t));
    if (!medium.empty()) std::memcpy(medium.data(), data, medium.size() * sizeof(std::uint16_t));
    static const Featurizer by_words(
        {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"}, {"n"}, {16, 2, {4, 16, 64}, true, false},
        Lexicon::build({{U"ab", "n", false, 1.0F}, {U"b", "n", false, 0.5F}}, Repeats::kRefuse, "", 0));
    const FeatureBatch by_word = by_words.featurize({{TextView::of(bytes), overlays}});
    const FeatureBatch batch =
        featurizer.featurize({{TextView::of(bytes), overlays},
                              {TextView::of(points), overlays},
                              {{data, size, TextView::Form::kOneByte}, overlays},
                              {{medium.data(), medium.size(), TextView::Form::kTwoBytes}, overlays},
                              {TextView::of(std::u32string_view(wide.data(), wide.size())), {}}});
    for (std::size_t row = 0; row < batch.batch; ++row) {
        if (batch.errors[row].has_value() == (batch.lengths[row] > 0)) std::abort();
    }
    // Sound UTF-8 and its code points are the same text.
    if (!batch.errors[0] && batch.lengths[0] != batch.lengths[1]) std::abort();
    // Which words match changes no length.
    if (batch.lengths[0] != by_word.lengths[0]) std::abort();
    for (const std::int32_t type : batch.lexicon_types) {
        if (type < 0 || type > 1) std::abort();
    }
    for (const std::int32_t word : batch.lexicon_words) {
        if (word < 0 || word >= 16) std::abort();
    }
    return 0;
}
