#include "distillex/featurizer.hpp"

#include <algorithm>
#include <stdexcept>

namespace distillex {
namespace {

constexpr std::size_t kPlaneSize = 0x10000;
constexpr std::size_t kTypesShown = 64;

std::string listed(const std::vector<std::string>& names) {
    std::string list;
    for (std::size_t i = 0; i < std::min(names.size(), kTypesShown); ++i)
        list += (i > 0 ? ", " : "") + names[i];
    if (names.size() > kTypesShown) list += ", … (" + std::to_string(names.size()) + " in all)";
    return list;
}

}  // namespace

struct Featurizer::Workspace {
    std::u32string normalized;
    std::vector<Candidate> overlay;
    std::vector<Candidate> matches;
    std::vector<std::uint8_t> filled;  // words in each (token, slot)
};

Featurizer::Featurizer(std::vector<std::string> vocabulary, std::vector<std::string> types,
                       FeaturizerOptions options, std::shared_ptr<const Lexicon> base)
    : options_(std::move(options)) {
    auto shared = std::make_shared<Shared>();
    const auto& buckets = options_.buckets;
    if (buckets.empty() || buckets.front() < 3 || buckets.back() > 65536 ||
        std::adjacent_find(buckets.begin(), buckets.end(), std::greater_equal<>()) != buckets.end()) {
        throw std::invalid_argument("buckets must be increasing token counts from 3 to 65536");
    }
    if (options_.word_hash_size < 2) throw std::invalid_argument("word_hash_size must be at least 2");
    if (options_.words_per_slot < 1 || options_.words_per_slot > 64) {
        throw std::invalid_argument("words_per_slot must be in 1 .. 64");
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
        if (!shared->type_ids.emplace(types[i], static_cast<std::int32_t>(i + 1)).second) {
            throw std::invalid_argument("the lexicon type '" + types[i] + "' is given twice");
        }
    }
    std::unordered_map<std::string, std::int32_t> ids;
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
        if (!ids.emplace(vocabulary[i], static_cast<std::int32_t>(i)).second) {
            throw std::invalid_argument("the vocabulary holds the token '" + vocabulary[i] + "' twice");
        }
    }
    for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) {
        if (ids.count(token) == 0)
            throw std::invalid_argument(std::string("the vocabulary lacks the token ") + token);
    }
    if (ids["[PAD]"] != 0) throw std::invalid_argument("[PAD] must be the vocabulary's first token");
    shared->unknown = ids["[UNK]"];
    shared->classify = ids["[CLS]"];
    shared->separate = ids["[SEP]"];
    const auto space = ids.find("▁");
    shared->space = space == ids.end() ? shared->unknown : space->second;
    shared->plane.assign(kPlaneSize, shared->unknown);
    std::u32string points;
    for (const auto& [token, id] : ids) {
        points.clear();
        if (decode_utf8(token, points) != std::string_view::npos || points.size() != 1) continue;
        if (points[0] < kPlaneSize) {
            shared->plane[points[0]] = id;
        } else {
            shared->beyond.emplace(points[0], id);
        }
    }
    shared->plane[U' '] = shared->space;
    shared->vocabulary = std::move(vocabulary);
    shared->types = std::move(types);
    shared_ = std::move(shared);
    *this = with_base(std::move(base));
}

Featurizer Featurizer::with_base(std::shared_ptr<const Lexicon> base) const {
    Featurizer other(*this);
    other.base_types_.clear();
    if (base) {
        other.check_types(*base);
        other.base_types_ = other.map_types(*base);
    }
    other.base_ = std::move(base);
    return other;
}

std::vector<std::int32_t> Featurizer::map_types(const Lexicon& lexicon) const {
    std::vector<std::int32_t> ids;
    ids.reserve(lexicon.types().size());
    for (const auto& type : lexicon.types()) {
        const auto found = shared_->type_ids.find(type);
        ids.push_back(found == shared_->type_ids.end() ? 0 : found->second);
    }
    return ids;
}

void Featurizer::check_types(const Lexicon& lexicon) const {
    std::vector<std::string> unknown;
    for (const auto& type : lexicon.types()) {
        if (shared_->type_ids.count(type) == 0) unknown.push_back("'" + type + "'");
    }
    if (unknown.empty()) return;
    throw LexiconError("unknown lexicon type " + listed(unknown) +
                       "; known types: " + listed(shared_->types));
}

std::int32_t Featurizer::token_id(char32_t point) const {
    if (point < kPlaneSize) return shared_->plane[point];
    const auto found = shared_->beyond.find(point);
    return found == shared_->beyond.end() ? shared_->unknown : found->second;
}

std::optional<std::string> Featurizer::check_text(const FeaturizerText& text) const {
    if (text.error) return text.error;
    if (text.points.empty()) return "the text is empty";
    if (text.points.size() > max_text_length()) {
        return "the text has " + std::to_string(text.points.size()) + " characters; at most " +
               std::to_string(max_text_length()) + " are accepted (split longer documents at sentence ends)";
    }
    for (std::size_t i = 0; i < text.points.size(); ++i) {
        const char32_t point = text.points[i];
        if (point == 0) return "the text holds a NUL character at position " + std::to_string(i);
        if (is_surrogate(point)) return "the text holds a lone surrogate at position " + std::to_string(i);
    }
    for (const auto& overlay : text.overlays) {
        try {
            check_types(*overlay);
        } catch (const LexiconError& error) {
            return error.what();
        }
    }
    return std::nullopt;
}

void Featurizer::collect_matches(const FeaturizerText& text, Workspace& workspace) const {
    const std::u32string& points = workspace.normalized;
    auto& overlay = workspace.overlay;
    overlay.clear();
    for (auto lexicon = text.overlays.rbegin(); lexicon != text.overlays.rend(); ++lexicon) {
        const std::vector<std::int32_t> type_ids = map_types(**lexicon);
        const std::size_t above = overlay.size();
        (*lexicon)->find_all(
            points.data(), points.size(), [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
                const bool covered =
                    std::any_of(overlay.begin(), overlay.begin() + static_cast<std::ptrdiff_t>(above),
                                [&](const Candidate& c) { return c.start == start && c.end == end; });
                if (covered) return;
                const std::uint16_t type = (*lexicon)->entry_type(entry);
                overlay.push_back({start, end, type == kHiddenType ? 0 : type_ids[type], 0,
                                   (*lexicon)->entry_weight(entry)});
            });
    }
    auto& matches = workspace.matches;
    matches.clear();
    if (base_) {
        base_->find_all(
            points.data(), points.size(), [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
                const bool covered = std::any_of(overlay.begin(), overlay.end(), [&](const Candidate& c) {
                    return c.start == start && c.end == end;
                });
                const std::uint16_t type = base_->entry_type(entry);
                if (covered || type == kHiddenType) return;
                matches.push_back({start, end, base_types_[type],
                                   static_cast<std::int32_t>(
                                       hashed_word_id(base_->entry_hash(entry), options_.word_hash_size)),
                                   base_->entry_weight(entry)});
            });
    }
    std::copy_if(overlay.begin(), overlay.end(), std::back_inserter(matches),
                 [](const Candidate& candidate) { return candidate.type != 0; });
    std::sort(matches.begin(), matches.end(), [](const Candidate& a, const Candidate& b) {
        if (a.weight != b.weight) return a.weight > b.weight;
        if (a.end - a.start != b.end - b.start) return a.end - a.start > b.end - b.start;
        return a.start < b.start;
    });
}

void Featurizer::fill_row(const FeaturizerText& text, std::size_t row, FeatureBatch& batch,
                          Workspace& workspace) const {
    const std::size_t length = text.points.size();
    const std::size_t words = options_.words_per_slot;
    workspace.normalized.resize(length);
    std::transform(text.points.begin(), text.points.end(), workspace.normalized.begin(), normalize);

    std::int32_t* ids = &batch.input_ids[row * batch.tokens];
    ids[0] = shared_->classify;
    for (std::size_t i = 0; i < length; ++i) ids[i + 1] = token_id(workspace.normalized[i]);
    ids[length + 1] = shared_->separate;
    batch.lengths[row] = static_cast<std::int32_t>(length + 2);

    collect_matches(text, workspace);
    workspace.filled.assign((length + 1) * kSlots, 0);
    const std::size_t row_offset = row * batch.tokens * kSlots * words;
    const auto put = [&](std::size_t token, Slot slot, const Candidate& match) {
        std::uint8_t& count = workspace.filled[token * kSlots + slot];
        if (count == words) return;
        const std::size_t at = row_offset + (token * kSlots + slot) * words + count++;
        batch.lexicon_types[at] = match.type;
        batch.lexicon_words[at] = match.word;
        batch.lexicon_weights[at] = match.weight;
    };
    for (const Candidate& match : workspace.matches) {  // heaviest first
        if (match.end - match.start == 1) {
            put(match.start + 1, kSlotSingle, match);
            continue;
        }
        put(match.start + 1, kSlotBegin, match);
        for (std::size_t i = match.start + 1; i + 1 < match.end; ++i) put(i + 1, kSlotMiddle, match);
        put(match.end, kSlotEnd, match);
    }
}

FeatureBatch Featurizer::featurize(std::vector<FeaturizerText>& texts) const {
    FeatureBatch batch;
    batch.batch = texts.size();
    batch.words_per_slot = options_.words_per_slot;
    std::size_t longest = 0;
    for (const FeaturizerText& text : texts) {
        batch.errors.push_back(check_text(text));
        if (!batch.errors.back()) longest = std::max(longest, text.points.size());
    }
    batch.tokens = *std::lower_bound(options_.buckets.begin(), options_.buckets.end(), longest + 2);
    const std::size_t words = batch.batch * batch.tokens * kSlots * options_.words_per_slot;
    batch.input_ids.assign(batch.batch * batch.tokens, 0);
    batch.lexicon_types.assign(words, 0);
    batch.lexicon_words.assign(words, 0);
    batch.lexicon_weights.assign(words, 0.0F);
    batch.lengths.assign(batch.batch, 0);
    Workspace workspace;
    for (std::size_t row = 0; row < texts.size(); ++row) {
        if (!batch.errors[row]) fill_row(texts[row], row, batch, workspace);
    }
    return batch;
}

}  // namespace distillex
