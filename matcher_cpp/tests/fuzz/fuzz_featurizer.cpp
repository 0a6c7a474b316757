// Any bytes as a text, its first ones as an overlay's words.
#include <cstdlib>

#include "distillex/featurizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace distillex;
    static const Featurizer featurizer(
        {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"}, {"n"}, {16, 2, {4, 16, 64}},
        Lexicon::build({{U"ab", "n", false, 1.0F}, {U"b", "n", false, 0.5F}}, Repeats::kRefuse, "", 0));
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    std::vector<FeaturizerText> texts(1);
    if (decode_utf8(bytes, texts[0].points) != std::string_view::npos) texts[0].error = "not UTF-8";
    try {
        texts[0].overlays.push_back(
            Lexicon::build({{texts[0].points.substr(0, 2), "n", false, 1.0F}}, Repeats::kLastWins, "", 0));
    } catch (const LexiconError&) {
    }
    const FeatureBatch batch = featurizer.featurize(texts);
    if (batch.errors[0].has_value() == (batch.lengths[0] > 0)) std::abort();
    for (const std::int32_t type : batch.lexicon_types) {
        if (type < 0 || type > 1) std::abort();
    }
    for (const std::int32_t word : batch.lexicon_words) {
        if (word < 0 || word >= 16) std::abort();
    }
    return 0;
}
