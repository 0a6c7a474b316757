// Texts + vocabulary + lexicons → padded, bucketed model inputs: the one place that knows the feature layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "distillex/lexicon.hpp"

namespace distillex {

inline constexpr std::size_t kSlots = 4;  // Begin, Middle, End, Single (SoftLexicon, Ma et al., ACL 2020)
enum Slot : std::size_t { kSlotBegin, kSlotMiddle, kSlotEnd, kSlotSingle };

struct FeaturizerOptions {
    std::uint32_t word_hash_size = 32768;
    std::uint32_t words_per_slot = 4;
    std::vector<std::uint32_t> buckets = {16, 32, 64, 128, 256, 512};
};

// The padded tensors of a batch: T tokens, K words a slot.
struct FeatureBatch {
    std::size_t batch = 0;
    std::size_t tokens = 0;
    std::size_t words_per_slot = 0;
    std::vector<std::int32_t> input_ids;      // [batch, T]
    std::vector<std::int32_t> lexicon_types;  // [batch, T, 4, K]
    std::vector<std::int32_t> lexicon_words;  // [batch, T, 4, K]
    std::vector<float> lexicon_weights;       // [batch, T, 4, K]
    std::vector<std::int32_t> lengths;        // [batch, 1]
    std::vector<std::optional<std::string>> errors;
};

struct FeaturizerText {
    std::u32string points;
    std::optional<std::string> error;  // set where the text could not be decoded
    std::vector<std::shared_ptr<const Lexicon>> overlays;
};

class Featurizer {
  public:
    // Throws std::invalid_argument for a vocabulary without the special tokens, repeated types, bad buckets.
    Featurizer(std::vector<std::string> vocabulary, std::vector<std::string> types, FeaturizerOptions options,
               std::shared_ptr<const Lexicon> base);

    Featurizer with_base(std::shared_ptr<const Lexicon> base) const;

    // Throws LexiconError naming the types that the model does not know.
    void check_types(const Lexicon& lexicon) const;

    FeatureBatch featurize(std::vector<FeaturizerText>& texts) const;

    std::size_t max_text_length() const { return options_.buckets.back() - 2; }
    const std::vector<std::string>& vocabulary() const { return shared_->vocabulary; }
    const std::vector<std::string>& types() const { return shared_->types; }
    const FeaturizerOptions& options() const { return options_; }
    const std::shared_ptr<const Lexicon>& base() const { return base_; }

  private:
    struct Shared {
        std::vector<std::string> vocabulary;
        std::vector<std::string> types;
        std::unordered_map<std::string, std::int32_t> type_ids;
        std::vector<std::int32_t> plane;                    // token ids of the Basic Multilingual Plane
        std::unordered_map<char32_t, std::int32_t> beyond;  // of the other planes
        std::int32_t unknown = 0;
        std::int32_t classify = 0;
        std::int32_t separate = 0;
        std::int32_t space = 0;
    };
    struct Candidate {
        std::uint32_t start;
        std::uint32_t end;
        std::int32_t type;  // 0: hidden
        std::int32_t word;
        float weight;
    };
    // How an overlay's types are numbered here, or why they cannot be; found out once a batch.
    struct OverlayTypes {
        std::vector<std::int32_t> ids;
        std::optional<std::string> error;
    };
    struct Workspace;

    const OverlayTypes& types_of(const Lexicon& overlay, Workspace& workspace) const;
    std::optional<std::string> check_text(const FeaturizerText& text, Workspace& workspace) const;
    std::vector<std::int32_t> map_types(const Lexicon& lexicon) const;  // 0 for an unknown type
    std::int32_t token_id(char32_t point) const;
    void collect_matches(const FeaturizerText& text, Workspace& workspace) const;
    static void drop_crowded_out(Workspace& workspace, std::size_t words);
    static void drop_untyped(std::vector<Candidate>& matches);
    void fill_row(const FeaturizerText& text, std::size_t row, FeatureBatch& batch,
                  Workspace& workspace) const;

    std::shared_ptr<const Shared> shared_;
    FeaturizerOptions options_;
    std::shared_ptr<const Lexicon> base_;
    std::vector<std::int32_t> base_types_;
};

}  // namespace distillex
