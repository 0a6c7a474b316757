// Bytes as a lexicon file, its checksum made right so that what stands behind it is reached: a sound file
// with bytes overwritten by the input, and the input itself behind a sound header. What opens is used as
// serving uses it.
#include <cstdlib>
#include <cstring>
#include <string>

#include "distillex/checksum.hpp"
#include "distillex/featurizer.hpp"
#include "distillex/lexicon.hpp"

namespace {

using namespace distillex;

constexpr std::size_t kHeader = 64;
constexpr std::size_t kSizeAt = 16;
constexpr std::size_t kChecksumAt = 24;

const std::string& sound_file() {
    static const std::string content = Lexicon::build({{U"甲乙", "n", false, 0.5F},
                                                       {U"甲", "ns", false, 1.0F},
                                                       {U"丙丁戊", "n", false, 0.1F},
                                                       {U"戊", "", true, 1.0F}},
                                                      Repeats::kRefuse, "fuzz", 1)
                                           ->to_bytes();
    return content;
}

void make_checksum_right(std::string& content) {
    if (content.size() < kHeader) return;
    std::memset(&content[kChecksumAt], 0, 8);
    const std::uint64_t checksum =
        checksum64(content.data() + kHeader, content.size() - kHeader, checksum64(content.data(), kHeader));
    std::memcpy(&content[kChecksumAt], &checksum, 8);
}

void require(bool condition) {
    if (!condition) std::abort();
}

bool is_utf8(std::string_view bytes) {
    std::u32string points;
    return decode_utf8(bytes, points) == std::string_view::npos;
}

void use(const std::shared_ptr<const Lexicon>& lexicon) {
    require(is_utf8(lexicon->name()));
    for (const auto& type : lexicon->types()) require(!type.empty() && is_utf8(type));
    for (std::uint32_t entry = 0; entry < lexicon->size(); ++entry) {
        require(is_utf8(lexicon->word(entry)) && !lexicon->word(entry).empty());
        require(lexicon->entry_type(entry) == kHiddenType ||
                lexicon->entry_type(entry) < lexicon->types().size());
    }
    lexicon->checksum();
    Lexicon::from_bytes(lexicon->to_bytes());
    const std::u32string same(300, U'甲');
    const std::vector<FeaturizerText> texts = {{TextView::of(U"甲乙丙丁戊甲𠮷 a"), {lexicon, lexicon}},
                                               {TextView::of(same), {lexicon, lexicon}}};
    const Featurizer plain({"[PAD]", "[UNK]", "[CLS]", "[SEP]"}, {"n", "ns"}, {16, 2, {16, 302}}, nullptr);
    for (const bool as_base : {false, true}) {
        Featurizer featurizer = plain;
        try {
            if (as_base) featurizer = plain.with_base(lexicon);
        } catch (const LexiconError&) {  // a type that the featurizer does not know
            continue;
        }
        const FeatureBatch batch = featurizer.featurize(texts);
        for (std::size_t row = 0; row < texts.size(); ++row)
            require(batch.errors[row].has_value() == (batch.lengths[row] == 0));
        for (const std::int32_t type : batch.lexicon_types) require(type >= 0 && type <= 2);
        for (const std::int32_t word : batch.lexicon_words) require(word >= 0 && word < 16);
        for (const float weight : batch.lexicon_weights) require(weight >= 0.0F && weight <= 1.0F);
    }
}

void try_to_open(std::string content) {
    make_checksum_right(content);
    try {
        use(Lexicon::from_bytes(content));
    } catch (const LexiconError& error) {
        require(is_utf8(error.what()));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string overwritten = sound_file();
    for (std::size_t i = 0; i + 3 <= size; i += 3) {
        overwritten[(data[i] * 256U + data[i + 1]) % overwritten.size()] = static_cast<char>(data[i + 2]);
    }
    try_to_open(std::move(overwritten));
    const std::string input(reinterpret_cast<const char*>(data), size);
    try_to_open(input);
    // The input's counts and content, the sound file's magic and version, and the size that a reader expects.
    std::string behind = sound_file().substr(0, kSizeAt) + input;
    const std::uint64_t whole = behind.size();
    if (whole >= kHeader) std::memcpy(&behind[kSizeAt], &whole, 8);
    try_to_open(std::move(behind));
    return 0;
}
