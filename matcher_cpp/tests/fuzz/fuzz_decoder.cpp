// Emissions and lengths from the input: posteriors must be probabilities, spans must lie in their text.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "distillex/crf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kLabels = 9;
    static const distillex::CrfDecoder decoder(distillex::LabelScheme({"a", "b"}),
                                               std::vector<float>(81, 0.25F), std::vector<float>(9, 0.0F),
                                               std::vector<float>(9, -0.5F));
    if (size < 2) return 0;
    const std::size_t tokens = 1 + data[0] % 32;
    std::vector<float> emissions(2 * tokens * kLabels, 0.0F);
    std::memcpy(emissions.data(), data + 2, std::min(size - 2, emissions.size() * sizeof(float)));
    const std::int32_t lengths[] = {static_cast<std::int32_t>(tokens),
                                    static_cast<std::int32_t>(data[1]) - 2};
    const distillex::EmissionBatch batch{emissions.data(), 2, tokens, kLabels, lengths};
    const std::vector<std::string_view> texts = {"ab\xE7\x94\xB2\"\n", ""};
    try {
        const auto best = decoder.viterbi(batch);
        for (const auto& span : decoder.decode(batch)) {
            const bool inside = span.start >= 0 && span.start < span.end && span.end <= lengths[span.row] - 2;
            if (!inside || !(span.score >= 0.0F && span.score <= 1.0F)) std::abort();
        }
        std::vector<float> marginals(emissions.size());
        decoder.marginals(batch, marginals.data());
        for (const float value : marginals) {
            if (!(value >= 0.0F && value <= 1.001F)) std::abort();
        }
        const auto paths = decoder.best_paths(batch, 1 + data[0] / 32);
        for (std::size_t row = 0; row < 2; ++row) {
            decoder.scheme().decode(best[row]);
            if (best[row].empty() != paths[row].empty()) std::abort();
            for (const auto& path : paths[row]) decoder.scheme().decode(path.labels);
        }
        for (const std::string& json : decoder.entities_json(batch, texts)) {
            if (json.front() != '[' || json.back() != ']') std::abort();
        }
    } catch (const std::invalid_argument&) {
    }
    return 0;
}
