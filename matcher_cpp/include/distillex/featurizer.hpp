// Texts + vocabulary + lexicons → padded, bucketed model inputs: the one place that knows the feature layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "distillex/lexicon.hpp"
#include "distillex/trusted_words.hpp"

namespace distillex {

inline constexpr std::size_t kSlots = 4;  // Begin, Middle, End, Single (SoftLexicon, Ma et al., ACL 2020)
enum Slot : std::size_t { kSlotBegin, kSlotMiddle, kSlotEnd, kSlotSingle };

struct FeaturizerOptions {
    std::uint32_t word_hash_size = 32768;
    std::uint32_t words_per_slot = 4;
    std::vector<std::uint32_t> buckets = {16, 32, 64, 128, 256, 512};
    // Whether a lexicon word of letters matches only where it is no part of a longer word (letters.hpp).
    bool word_boundaries = false;
    // Whether the model sees small letters alone; lexicons compare without regard to case either way.
    bool lowercase = true;
};

// A tensor in the memory of its batch, row-major.
template <class T>
struct Tensor {
    T* data = nullptr;
    std::size_t size = 0;

    T* begin() const { return data; }
    T* end() const { return data + size; }
    T& operator[](std::size_t i) const { return data[i]; }
};

// Why a text is refused. The reasons are a closed set, for programs; the message is for people.
struct Refusal {
    static constexpr char kEmpty[] = "empty";
    static constexpr char kTooLong[] = "too_long";
    static constexpr char kNotUtf8[] = "not_utf8";
    static constexpr char kLexicon[] = "lexicon";  // an overlay has types that the model does not know
    static constexpr char kOther[] = "other";

    const char* reason;
    std::string message;
};

// The padded tensors of a batch: T tokens, K words a slot. They lie in one piece of memory.
struct FeatureBatch {
    struct Free {
        void operator()(void* pointer) const { std::free(pointer); }
    };

    std::size_t batch = 0;
    std::size_t tokens = 0;
    std::size_t words_per_slot = 0;
    Tensor<std::int32_t> input_ids;      // [batch, T]
    Tensor<std::int32_t> lexicon_types;  // [batch, T, 4, K]
    Tensor<std::int32_t> lexicon_words;  // [batch, T, 4, K]
    Tensor<float> lexicon_weights;       // [batch, T, 4, K]
    Tensor<std::int32_t> lengths;        // [batch, 1]
    std::vector<std::optional<Refusal>> errors;
    TrustedWords trusted;
    std::unique_ptr<void, Free> memory;
};

struct FeaturizerText {
    TextView text;
    std::vector<std::shared_ptr<const Lexicon>> overlays;
    Trust trust = kTrustUnsaid;  // of the overlays' words that say none
};

class Featurizer {
  public:
    // Throws std::invalid_argument for a vocabulary without the special tokens, repeated types, bad buckets.
    Featurizer(const std::vector<std::string>& vocabulary, std::vector<std::string> types,
               FeaturizerOptions options, std::shared_ptr<const Lexicon> base);

    Featurizer with_base(std::shared_ptr<const Lexicon> base) const;

    // Throws LexiconError naming the types that the model does not know.
    void check_types(const Lexicon& lexicon) const;

    // A text that cannot be featurised has an error and a row of padding.
    FeatureBatch featurize(const std::vector<FeaturizerText>& texts) const;

    std::size_t max_text_length() const { return options_.buckets.back() - 2; }

  private:
    struct Shared {
        std::vector<std::string> types;
        std::unordered_map<std::string, std::int32_t> type_ids;
        std::vector<std::int32_t> basic_plane_tokens;       // token ids of the Basic Multilingual Plane
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
        Trust trust;
    };
    // How an overlay's types are numbered here, or why they cannot be; found out once a batch.
    struct OverlayTypes {
        std::vector<std::int32_t> ids;
        std::optional<std::string> error;
    };
    struct Workspace;

    const OverlayTypes& types_of(const Lexicon& overlay, Workspace& workspace) const;
    // Appends the text's points to the workspace's and checks them.
    std::optional<Refusal> read_text(const FeaturizerText& text, Workspace& workspace) const;
    std::optional<Refusal> check_points(std::u32string_view points) const;
    std::vector<std::int32_t> map_types(const Lexicon& lexicon) const;  // 0 for an unknown type
    FeatureBatch empty_batch(std::size_t rows, std::size_t longest) const;
    void fill_ids(std::u32string_view points, std::int32_t* ids) const;
    void collect_matches(const FeaturizerText& text, std::u32string_view points, Workspace& workspace) const;
    static void collect_trusted(Workspace& workspace, std::size_t length);
    static void drop_crowded_out(Workspace& workspace, std::size_t length, std::size_t words);
    static void drop_untyped(std::vector<Candidate>& matches);
    void fill_row(const FeaturizerText& text, std::u32string_view points, std::size_t row,
                  const FeatureBatch& batch, Workspace& workspace) const;

    std::shared_ptr<const Shared> shared_;
    FeaturizerOptions options_;
    std::shared_ptr<const Lexicon> base_;
    std::vector<std::int32_t> base_types_;
};

}  // namespace distillex
