// The k best label sequences of a row (k-best Viterbi).
#include <algorithm>

#include "distillex/crf.hpp"

namespace distillex {
namespace {

struct Candidate {
    float score;
    std::uint32_t label;  // of the position before
    std::uint32_t rank;   // among that label's candidates
};

// Keeps the k highest scores, highest first; of equal ones those that came first.
class LargestScores {
  public:
    explicit LargestScores(std::size_t k) : k_(k) {}

    void clear() { candidates_.clear(); }

    // False where the candidate is not above the lowest of k, so that none lower need be offered.
    bool offer(const Candidate& candidate) {
        if (candidates_.size() == k_) {
            if (candidate.score <= candidates_.back().score) return false;
            candidates_.pop_back();
        }
        const auto place =
            std::upper_bound(candidates_.begin(), candidates_.end(), candidate,
                             [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
        candidates_.insert(place, candidate);
        return true;
    }

    const std::vector<Candidate>& candidates() const { return candidates_; }

  private:
    std::size_t k_;
    std::vector<Candidate> candidates_;
};

// The candidates of each position and label, one after the other.
class Lattice {
  public:
    explicit Lattice(std::size_t cells) { ends_.reserve(cells); }

    void append(const std::vector<Candidate>& cell) {
        candidates_.insert(candidates_.end(), cell.begin(), cell.end());
        ends_.push_back(candidates_.size());
    }
    std::size_t begin(std::size_t cell) const { return cell == 0 ? 0 : ends_[cell - 1]; }
    std::size_t size(std::size_t cell) const { return ends_[cell] - begin(cell); }
    const Candidate& at(std::size_t cell, std::size_t rank) const { return candidates_[begin(cell) + rank]; }

  private:
    std::vector<Candidate> candidates_;
    std::vector<std::size_t> ends_;
};

std::vector<std::vector<std::uint32_t>> labels_before(std::size_t labels) {
    std::vector<std::vector<std::uint32_t>> before(labels);
    for (std::uint32_t to = 0; to < labels; ++to) {
        for (std::uint32_t from = 0; from < labels; ++from) {
            if (LabelScheme::allowed(from, to)) before[to].push_back(from);
        }
    }
    return before;
}

}  // namespace

std::vector<ScoredPath> CrfDecoder::best_paths(const Row& row, std::size_t k) const {
    const std::size_t n = label_count_;
    const auto before = labels_before(n);
    Lattice lattice(row.length * n);
    LargestScores best(k);
    const auto offer_all_of = [&](std::size_t t, std::uint32_t from, float move, float emission) {
        const std::size_t cell = t * n + from;
        for (std::uint32_t rank = 0; rank < lattice.size(cell); ++rank) {
            const float score = lattice.at(cell, rank).score + move + emission;
            if (!best.offer({score, from, rank})) break;
        }
    };
    for (std::uint32_t label = 0; label < n; ++label) {
        best.clear();
        if (LabelScheme::opens(label)) best.offer({start_[label] + row.emissions[label], 0, 0});
        lattice.append(best.candidates());
    }
    for (std::size_t t = 1; t < row.length; ++t) {
        for (std::uint32_t to = 0; to < n; ++to) {
            best.clear();
            const float emission = row.emissions[t * n + to];
            for (const std::uint32_t from : before[to]) {
                offer_all_of(t - 1, from, transitions_[from * n + to], emission);
            }
            lattice.append(best.candidates());
        }
    }
    best.clear();
    for (std::uint32_t label = 0; label < n; ++label) {
        if (LabelScheme::closes(label)) offer_all_of(row.length - 1, label, end_[label], 0.0F);
    }
    std::vector<ScoredPath> paths;
    for (const Candidate& candidate : best.candidates()) {
        ScoredPath path{std::vector<std::int64_t>(row.length), candidate.score};
        std::uint32_t label = candidate.label;
        std::uint32_t rank = candidate.rank;
        for (std::size_t t = row.length; t-- > 0;) {
            path.labels[t] = label;
            const Candidate& step = lattice.at(t * n + label, rank);
            label = step.label;
            rank = step.rank;
        }
        paths.push_back(std::move(path));
    }
    return paths;
}

}  // namespace distillex
