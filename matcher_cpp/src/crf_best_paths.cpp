#include <algorithm>

#include "distillex/crf.hpp"

namespace distillex {

std::vector<ScoredPath> CrfDecoder::best_paths(const EmissionBatch& batch, std::size_t row_index,
                                               std::size_t k) const {
    struct Candidate {
        float score;
        std::uint16_t label;  // of the position before
        std::uint16_t rank;   // among that label's candidates
    };
    const std::size_t n = label_count_;
    const Row row = row_of(batch, row_index);
    if (row.length == 0 || k == 0) return {};
    std::vector<std::vector<Candidate>> lattice(row.length * n);
    const auto keep_best = [k](std::vector<Candidate>& candidates) {
        std::stable_sort(candidates.begin(), candidates.end(),
                         [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
        if (candidates.size() > k) candidates.resize(k);
    };
    for (std::uint32_t label = 0; label < n; ++label) {
        if (LabelScheme::opens(label)) lattice[label].push_back({start_[label] + row.emissions[label], 0, 0});
    }
    for (std::size_t t = 1; t < row.length; ++t) {
        for (std::uint32_t to = 0; to < n; ++to) {
            auto& candidates = lattice[t * n + to];
            for (std::uint32_t from = 0; from < n; ++from) {
                if (!LabelScheme::allowed(from, to)) continue;
                const auto& before = lattice[(t - 1) * n + from];
                for (std::size_t rank = 0; rank < before.size(); ++rank) {
                    candidates.push_back(
                        {before[rank].score + transitions_[from * n + to] + row.emissions[t * n + to],
                         static_cast<std::uint16_t>(from), static_cast<std::uint16_t>(rank)});
                }
            }
            keep_best(candidates);
        }
    }
    std::vector<Candidate> last;
    const std::size_t end = row.length - 1;
    for (std::uint32_t label = 0; label < n; ++label) {
        if (!LabelScheme::closes(label)) continue;
        const auto& candidates = lattice[end * n + label];
        for (std::size_t rank = 0; rank < candidates.size(); ++rank) {
            last.push_back({candidates[rank].score + end_[label], static_cast<std::uint16_t>(label),
                            static_cast<std::uint16_t>(rank)});
        }
    }
    keep_best(last);
    std::vector<ScoredPath> paths;
    for (const Candidate& candidate : last) {
        ScoredPath path{std::vector<std::int64_t>(row.length), candidate.score};
        std::uint16_t label = candidate.label;
        std::uint16_t rank = candidate.rank;
        for (std::size_t t = row.length; t-- > 0;) {
            path.labels[t] = label;
            const Candidate& step = lattice[t * n + label][rank];
            label = step.label;
            rank = step.rank;
        }
        paths.push_back(std::move(path));
    }
    return paths;
}

}  // namespace distillex
