// Texts, vocabulary and lexicons → padded model inputs.
#include "distillex/featurizer.hpp"

#include <algorithm>
#include <iterator>
#include <new>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "distillex/letters.hpp"

namespace distillex {
namespace {

constexpr std::size_t kPlaneSize = 0x10000;
constexpr std::size_t kTypesShown = 64;
constexpr std::size_t kManyMatches = 1024;
constexpr std::size_t kUsualMatches = 64;

std::string listed(const std::vector<std::string>& names) {
    std::string list;
    for (std::size_t i = 0; i < std::min(names.size(), kTypesShown); ++i)
        list += (i > 0 ? ", " : "") + names[i];
    if (names.size() > kTypesShown) list += ", … (" + std::to_string(names.size()) + " in all)";
    return list;
}

}  // namespace

struct Featurizer::Workspace {
    std::u32string points;  // of all sound texts, normalised, one after the other
    std::u32string folded;  // of one text, where the model sees capital letters
    SingleSpaced single_spaced;
    std::vector<Candidate> matches;
    std::vector<Candidate> layer;  // matches of one lexicon
    std::vector<Candidate> merged;
    std::vector<TrustedWord> trusted;  // of one text
    std::vector<std::uint32_t>
        furthest_before;  // of a position: where the last base word ends that begins before
    std::vector<float> weights_at_start;
    std::vector<float> weights_at_end;
    std::vector<std::uint8_t> filled;      // words in each (token, slot)
    std::vector<std::uint32_t> room_from;  // of a token: leads to the next whose Middle slot has room
    std::unordered_map<const Lexicon*, OverlayTypes> overlay_types;

    std::uint32_t next_with_room(std::uint32_t token) {
        while (room_from[token] != token) {
            room_from[token] = room_from[room_from[token]];
            token = room_from[token];
        }
        return token;
    }
};

Featurizer::Featurizer(const std::vector<std::string>& vocabulary, std::vector<std::string> types,
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
    shared->basic_plane_tokens.assign(kPlaneSize, shared->unknown);
    std::u32string points;
    for (const auto& [token, id] : ids) {
        points.clear();
        if (decode_utf8(token, points) != std::string_view::npos || points.size() != 1) continue;
        if (points[0] < kPlaneSize) {
            shared->basic_plane_tokens[points[0]] = id;
        } else {
            shared->beyond.emplace(points[0], id);
        }
    }
    shared->basic_plane_tokens[U' '] = shared->space;
    shared->types = std::move(types);
    shared_ = std::move(shared);
    *this = with_base(std::move(base));
}

Featurizer Featurizer::with_base(std::shared_ptr<const Lexicon> base) const {
    Featurizer other(*this);
    other.base_types_.clear();
    if (base) {
        // One base lexicon serves models of different labels: a word of a type that this one lacks tells it
        // nothing.
        other.base_types_ = other.map_types(*base);
        const auto& ids = other.base_types_;
        if (std::all_of(ids.begin(), ids.end(), [](std::int32_t id) { return id == 0; }))
            other.check_types(*base);
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

const Featurizer::OverlayTypes& Featurizer::types_of(const Lexicon& overlay, Workspace& workspace) const {
    const auto [found, added] = workspace.overlay_types.try_emplace(&overlay);
    OverlayTypes& types = found->second;
    if (added) {
        try {
            check_types(overlay);
            types.ids = map_types(overlay);
        } catch (const LexiconError& error) {
            types.error = error.what();
        }
    }
    return types;
}

std::optional<Refusal> Featurizer::check_points(std::u32string_view points) const {
    if (points.empty()) return Refusal{Refusal::kEmpty, "the text is empty"};
    if (points.size() > max_text_length()) {
        return Refusal{Refusal::kTooLong, "the text has " + std::to_string(points.size()) +
                                              " characters; at most " + std::to_string(max_text_length()) +
                                              " are accepted (split longer documents at sentence ends)"};
    }
    const auto is_bad = [](char32_t point) {
        return point == 0 || is_surrogate(point) || point > kLastCodePoint;
    };
    const auto bad = std::find_if(points.begin(), points.end(), is_bad);
    if (bad == points.end()) return std::nullopt;
    const char* what = *bad == 0            ? "a NUL character"
                       : is_surrogate(*bad) ? "a lone surrogate"
                                            : "a code point beyond U+10FFFF";
    return Refusal{Refusal::kOther, std::string("the text holds ") + what + " at position " +
                                        std::to_string(bad - points.begin())};
}

std::optional<Refusal> Featurizer::read_text(const FeaturizerText& text, Workspace& workspace) const {
    std::u32string& points = workspace.points;
    const std::size_t begin = points.size();
    const std::size_t bad = append_points(text.text, points);
    std::optional<Refusal> error;
    if (bad != std::string_view::npos) {
        error = Refusal{Refusal::kNotUtf8, "the text is not UTF-8 (byte " + std::to_string(bad) + ")"};
    } else {
        error = check_points(std::u32string_view(points).substr(begin));
    }
    for (auto overlay = text.overlays.begin(); !error && overlay != text.overlays.end(); ++overlay) {
        const std::optional<std::string>& unknown = types_of(**overlay, workspace).error;
        if (unknown) error = Refusal{Refusal::kLexicon, *unknown};
    }
    if (error) {
        points.resize(begin);
    } else {
        std::transform(points.begin() + static_cast<std::ptrdiff_t>(begin), points.end(),
                       points.begin() + static_cast<std::ptrdiff_t>(begin),
                       Normalizer(options_.lowercase ? Case::kFolded : Case::kKept));
    }
    return error;
}

// From the top lexicon down: what a lower one finds where a higher one found the same span counts no more.
// All matches come by (start, end), so the layers merge in one pass, however many of them there are.
void Featurizer::collect_matches(const FeaturizerText& text, std::u32string_view points,
                                 Workspace& workspace) const {
    const auto by_place = [](const Candidate& a, const Candidate& b) {
        return a.start != b.start ? a.start < b.start : a.end < b.end;
    };
    auto& matches = workspace.matches;
    auto& layer = workspace.layer;
    matches.clear();
    if (!options_.lowercase) workspace.folded = normalized(std::u32string(points));
    const std::u32string_view searched =
        workspace.single_spaced.assign(options_.lowercase ? points : std::u32string_view(workspace.folded));
    const auto is_part_of_a_word = [&](std::uint32_t start, std::uint32_t end) {
        return options_.word_boundaries &&
               !stands_alone(points.data(), points.size(), start, end, [](char32_t point) { return point; });
    };
    const auto lay_below = [&] {
        if (matches.empty()) {
            matches.swap(layer);
            return;
        }
        workspace.merged.clear();
        // Of two that are equal, std::set_union keeps the first range's.
        std::set_union(matches.begin(), matches.end(), layer.begin(), layer.end(),
                       std::back_inserter(workspace.merged), by_place);
        matches.swap(workspace.merged);
    };
    const auto trust_of = [&text](const Lexicon& lexicon, std::uint32_t entry) {
        for (const Trust trust : {lexicon.entry_trust(entry), text.trust, lexicon.trust()}) {
            if (trust != kTrustUnsaid) return trust;
        }
        return kPrefer;
    };
    workspace.trusted.clear();
    for (auto lexicon = text.overlays.rbegin(); lexicon != text.overlays.rend(); ++lexicon) {
        const std::vector<std::int32_t>& type_ids = types_of(**lexicon, workspace).ids;
        layer.clear();
        const auto put = [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
            if (is_part_of_a_word(start, end)) return;
            const std::uint16_t type = (*lexicon)->entry_type(entry);
            layer.push_back({start, end, type == kHiddenType ? 0 : type_ids[type], 0,
                             (*lexicon)->entry_weight(entry), trust_of(**lexicon, entry)});
        };
        (*lexicon)->find_all(searched.data(), searched.size(), workspace.single_spaced.in_text(put));
        lay_below();
    }
    layer.clear();
    if (base_) {
        const auto put = [&](std::uint32_t start, std::uint32_t end, std::uint32_t entry) {
            const std::uint16_t type = base_->entry_type(entry);
            if (type == kHiddenType || is_part_of_a_word(start, end)) return;
            const std::uint32_t word_id = hashed_word_id(base_->entry_hash(entry), options_.word_hash_size);
            layer.push_back({start, end, base_types_[type], static_cast<std::int32_t>(word_id),
                             base_->entry_weight(entry), kHint});
        };
        base_->find_all(searched.data(), searched.size(), workspace.single_spaced.in_text(put));
    }
    if (!matches.empty()) collect_trusted(workspace, points.size());
    if (base_) lay_below();
    drop_untyped(matches);
    if (matches.size() >= kManyMatches) drop_crowded_out(workspace, points.size(), options_.words_per_slot);
    std::sort(matches.begin(), matches.end(), [](const Candidate& a, const Candidate& b) {
        if (a.weight != b.weight) return a.weight > b.weight;
        if (a.end - a.start != b.end - b.start) return a.end - a.start > b.end - b.start;
        return a.start < b.start;
    });
}

// The words of overlays (`matches`) that are to be obeyed. What is preferred is not obeyed where the base
// lexicon (`layer`) speaks against it: where it knows the same word as something else (高兴 as a name), or
// has a word that reaches into this one or covers it (美团 in 完美团结).
void Featurizer::collect_trusted(Workspace& workspace, std::size_t length) {
    auto& trusted = workspace.trusted;
    const auto is_trusted = [](const Candidate& match) { return match.type != 0 && match.trust != kHint; };
    for (const Candidate& match : workspace.matches) {
        if (!is_trusted(match)) continue;
        trusted.push_back({static_cast<std::int32_t>(match.start), static_cast<std::int32_t>(match.end),
                           match.type, match.trust});
    }
    if (trusted.empty()) return;

    auto& furthest = workspace.furthest_before;
    furthest.assign(length + 2, 0);
    auto overlay = workspace.matches.cbegin();
    auto word = trusted.begin();
    const auto place = [](const auto& match) { return std::pair(match.start, match.end); };
    for (const Candidate& known : workspace.layer) {
        while (overlay != workspace.matches.cend() && place(*overlay) < place(known)) ++overlay;
        const bool replaced = overlay != workspace.matches.cend() && place(*overlay) == place(known);
        if (!replaced) {
            furthest[known.start + 1] = std::max(furthest[known.start + 1], known.end);
            continue;
        }
        const auto known_place =
            std::pair(static_cast<std::int32_t>(known.start), static_cast<std::int32_t>(known.end));
        while (word != trusted.end() && place(*word) < known_place) ++word;
        const bool doubted = word != trusted.end() && place(*word) == known_place && word->trust == kPrefer &&
                             word->type != known.type;
        if (doubted) word->trust = kHint;
    }
    for (std::size_t i = 1; i < furthest.size(); ++i) furthest[i] = std::max(furthest[i], furthest[i - 1]);
    const auto is_hint = [&furthest](const TrustedWord& each) {
        if (each.trust != kPrefer) return each.trust == kHint;
        const auto start = static_cast<std::size_t>(each.start);
        const auto end = static_cast<std::size_t>(each.end);
        return furthest[start] > start || furthest[end] > end;
    };
    trusted.erase(std::remove_if(trusted.begin(), trusted.end(), is_hint), trusted.end());
    // What is but a hint takes no place from what is obeyed.
    keep_longest_of_each_type(trusted, length);
}

// Of words nested in one another hardly any gets into a slot. A match takes no place where `words` longer
// ones, no lighter than it, begin where it begins (they fill its Begin and its Middles), and as many end
// where it ends. Matches come by (start, end), so both are counted in one pass, and only the rest has to be
// ranked.
void Featurizer::drop_crowded_out(Workspace& workspace, std::size_t length, std::size_t words) {
    auto& matches = workspace.matches;
    // The heaviest `words` weights so far, the lightest of them last: of one start, and of each end.
    auto& at_end = workspace.weights_at_end;
    auto& at_start = workspace.weights_at_start;
    at_end.assign((length + 1) * words, 0.0F);
    const auto is_crowded_out = [words](float* heaviest, float weight) {
        if (heaviest[words - 1] >= weight) return true;
        std::size_t place = words - 1;
        for (; place > 0 && heaviest[place - 1] < weight; --place) heaviest[place] = heaviest[place - 1];
        heaviest[place] = weight;
        return false;
    };
    for (std::size_t begin = 0, end = 0; begin < matches.size(); begin = end) {
        while (end < matches.size() && matches[end].start == matches[begin].start) ++end;
        at_start.assign(words, 0.0F);
        for (std::size_t i = end; i-- > begin;) {  // longest first
            Candidate& match = matches[i];
            const bool of_start = is_crowded_out(at_start.data(), match.weight);
            const bool of_end = is_crowded_out(&at_end[match.end * words], match.weight);
            if (of_start && of_end && match.end - match.start > 1) match.type = 0;
        }
    }
    drop_untyped(matches);
}

void Featurizer::drop_untyped(std::vector<Candidate>& matches) {
    const auto untyped = [](const Candidate& candidate) { return candidate.type == 0; };
    matches.erase(std::remove_if(matches.begin(), matches.end(), untyped), matches.end());
}

void Featurizer::fill_ids(std::u32string_view points, std::int32_t* ids) const {
    const Shared& shared = *shared_;
    const std::int32_t* const basic_plane_tokens = shared.basic_plane_tokens.data();
    *ids++ = shared.classify;
    for (const char32_t point : points) {
        if (point < kPlaneSize) {
            *ids++ = basic_plane_tokens[point];
        } else {
            const auto found = shared.beyond.find(point);
            *ids++ = found == shared.beyond.end() ? shared.unknown : found->second;
        }
    }
    *ids = shared.separate;
}

void Featurizer::fill_row(const FeaturizerText& text, std::u32string_view points, std::size_t row,
                          const FeatureBatch& batch, Workspace& workspace) const {
    const std::size_t length = points.size();
    const std::size_t words = options_.words_per_slot;
    fill_ids(points, &batch.input_ids[row * batch.tokens]);
    batch.lengths[row] = static_cast<std::int32_t>(length + 2);

    collect_matches(text, points, workspace);
    workspace.filled.assign((length + 1) * kSlots, 0);
    workspace.room_from.resize(length + 2);
    std::iota(workspace.room_from.begin(), workspace.room_from.end(), 0U);
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
        put(match.end, kSlotEnd, match);
        // Tokens whose Middle slot is full are not looked at again: a thousand words nested in one another
        // cost what they put in, not what they cover.
        for (std::uint32_t token = workspace.next_with_room(match.start + 2); token < match.end;
             token = workspace.next_with_room(token + 1)) {
            put(token, kSlotMiddle, match);
            if (workspace.filled[token * kSlots + kSlotMiddle] == words)
                workspace.room_from[token] = token + 1;
        }
    }
}

FeatureBatch Featurizer::empty_batch(std::size_t rows, std::size_t longest) const {
    FeatureBatch batch;
    batch.batch = rows;
    batch.words_per_slot = options_.words_per_slot;
    batch.tokens = *std::lower_bound(options_.buckets.begin(), options_.buckets.end(), longest + 2);
    const std::size_t ids = rows * batch.tokens;
    const std::size_t words = ids * kSlots * options_.words_per_slot;
    // All padding is 0, which is all bits 0 for floats too.
    static_assert(sizeof(float) == sizeof(std::int32_t));
    batch.memory.reset(std::calloc(std::max<std::size_t>(1, 3 * words + ids + rows), sizeof(std::int32_t)));
    if (!batch.memory) throw std::bad_alloc();
    auto* next = static_cast<std::int32_t*>(batch.memory.get());
    const auto take = [&next](std::size_t size) {
        return Tensor<std::int32_t>{std::exchange(next, next + size), size};
    };
    batch.lexicon_types = take(words);
    batch.lexicon_words = take(words);
    batch.lexicon_weights = {reinterpret_cast<float*>(take(words).data), words};
    batch.input_ids = take(ids);
    batch.lengths = take(rows);
    return batch;
}

FeatureBatch Featurizer::featurize(const std::vector<FeaturizerText>& texts) const {
    Workspace workspace;
    workspace.matches.reserve(kUsualMatches);
    workspace.layer.reserve(kUsualMatches);
    std::vector<std::optional<Refusal>> errors;
    errors.reserve(texts.size());
    std::vector<std::size_t> lengths;
    lengths.reserve(texts.size());
    std::size_t longest = 0;
    for (const FeaturizerText& text : texts) {
        const std::size_t before = workspace.points.size();
        errors.push_back(read_text(text, workspace));
        lengths.push_back(workspace.points.size() - before);
        longest = std::max(longest, lengths.back());
    }
    FeatureBatch batch = empty_batch(texts.size(), longest);
    batch.trusted = TrustedWords(texts.size());
    std::u32string_view rest = workspace.points;
    for (std::size_t row = 0; row < texts.size(); ++row) {
        if (!errors[row]) {
            fill_row(texts[row], rest.substr(0, lengths[row]), row, batch, workspace);
            for (const TrustedWord& word : workspace.trusted) batch.trusted.append(word);
        }
        batch.trusted.end_row(row);
        rest.remove_prefix(lengths[row]);
    }
    batch.errors = std::move(errors);
    return batch;
}

}  // namespace distillex
