// The lexicon file: a fixed header, then sections at 64-byte boundaries in the order of `Section`.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "distillex/checksum.hpp"
#include "distillex/lexicon.hpp"

namespace distillex {
namespace {

constexpr char kMagic[8] = {'D', 'X', 'L', 'E', 'X', '\r', '\n', '\0'};
// Version 1 knew no trust, and had a header of 64 bytes.
constexpr std::uint32_t kFormatVersion = 2;
constexpr std::uint32_t kOldestFormatVersion = 1;
constexpr std::size_t kAlignment = 64;
constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 36;

struct Header {
    char magic[8];
    std::uint32_t format_version;
    std::uint32_t byte_order;  // 0x01020304 as this machine writes it
    std::uint64_t file_size;
    std::uint64_t checksum;  // of the whole file with this field zero
    std::uint32_t entry_count;
    std::uint32_t lexicon_version;
    std::uint32_t node_count;
    std::uint32_t page_count;
    std::uint32_t code_count;
    std::uint32_t word_bytes;
    std::uint32_t type_bytes;  // type names, each ended by '\n'
    std::uint32_t name_bytes;
    // From version 2 on.
    float trust;                // of the words that say none
    std::uint32_t trust_count;  // as many as entries, or 0: no word says its own
    std::uint32_t reserved[14];
};
constexpr std::size_t kFirstHeaderSize = 64;
static_assert(sizeof(Header) == 2 * kFirstHeaderSize, "the header is 128 bytes");
constexpr std::uint32_t kByteOrder = 0x01020304;

enum Section {
    kPageIndex,
    kPages,
    kNodes,
    kEntryTypes,
    kWeights,
    kTrusts,
    kHashes,
    kWordOffsets,
    kWords,
    kTypes,
    kName,
    kSections
};

struct Extent {
    std::uint64_t offset;
    std::uint64_t size;
};

std::size_t header_size(std::uint32_t format_version) {
    return format_version == 1 ? kFirstHeaderSize : sizeof(Header);
}

std::array<Extent, kSections> sections_of(const Header& header, std::uint64_t& file_size) {
    const std::uint64_t entries = header.entry_count;
    const std::array<std::uint64_t, kSections> sizes = {
        CodePointMap::kPageCount * sizeof(std::uint16_t),
        std::uint64_t{header.page_count} * CodePointMap::kPageSize * sizeof(std::uint32_t),
        std::uint64_t{header.node_count} * sizeof(TrieNode),
        entries * sizeof(std::uint16_t),
        entries * sizeof(float),
        std::uint64_t{header.trust_count} * sizeof(Trust),
        entries * sizeof(std::uint32_t),
        (entries + 1) * sizeof(std::uint32_t),
        header.word_bytes,
        header.type_bytes,
        header.name_bytes,
    };
    std::array<Extent, kSections> extents{};
    std::uint64_t offset = header_size(header.format_version);
    for (std::size_t i = 0; i < kSections; ++i) {
        extents[i] = {offset, sizes[i]};
        offset = (offset + sizes[i] + kAlignment - 1) / kAlignment * kAlignment;
    }
    file_size = offset;
    return extents;
}

std::string system_message(const std::filesystem::path& path, const char* what) {
    return path.string() + ": " + what + ": " + std::strerror(errno);
}

class Descriptor {
  public:
    explicit Descriptor(int value) : value_(value) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (value_ >= 0) ::close(value_);
    }
    int get() const { return value_; }

  private:
    int value_;
};

// A file's bytes in memory of our own. A mapped file would change, or end the process, when somebody writes
// to it or cuts it short.
class Content {
  public:
    Content(std::size_t size, const std::string& source) : size_(size) {
        bytes_ = static_cast<char*>(::operator new (size, std::align_val_t{kAlignment}, std::nothrow));
        if (bytes_ == nullptr) {
            throw LexiconError(source + ": no memory for its " + std::to_string(size) + " bytes");
        }
    }
    Content(const Content&) = delete;
    Content& operator=(const Content&) = delete;
    ~Content() { ::operator delete (bytes_, std::align_val_t{kAlignment}); }
    char* data() const { return bytes_; }
    std::size_t size() const { return size_; }

  private:
    char* bytes_;
    std::size_t size_;
};

std::uint64_t file_checksum(const char* bytes, std::size_t size, std::size_t header_bytes) {
    Header header{};
    std::memcpy(&header, bytes, header_bytes);
    header.checksum = 0;
    return checksum64(bytes + header_bytes, size - header_bytes, checksum64(&header, header_bytes));
}

// A short word of ideographs (U+4000 to U+9FFF, three bytes each) and of ASCII that is seen: nearly every
// word, told from its bytes alone in a fifth of the time that decoding it takes.
bool is_plain(std::string_view word) {
    if (word.size() > kMaxWordLength) return false;
    const auto byte = [word](std::size_t i) { return static_cast<unsigned char>(word[i]); };
    for (std::size_t i = 0; i < word.size();) {
        if (byte(i) > 0x20 && byte(i) < 0x7F) {
            ++i;
        } else if (byte(i) >= 0xE4 && byte(i) <= 0xE9 && word.size() - i >= 3 &&
                   (byte(i + 1) & 0xC0) == 0x80 && (byte(i + 2) & 0xC0) == 0x80) {
            i += 3;
        } else {
            return false;
        }
    }
    return !word.empty();
}

}  // namespace

class LexiconFile {
  public:
    static std::string serialize(const Lexicon& lexicon);
    static std::shared_ptr<const Content> read(const std::filesystem::path& path);
    // `source` begins the messages of what is wrong.
    static std::shared_ptr<const Lexicon> parse(std::shared_ptr<const Content> content,
                                                const std::string& source);

  private:
    static Header read_header(const char* bytes, std::size_t size, const std::string& source);
    static void check_entries(const Lexicon& lexicon, const Header& header);
    static void check_words_are_folded(const Lexicon& lexicon, const std::string& source);
};

std::string LexiconFile::serialize(const Lexicon& lexicon) {
    std::string types;
    for (const auto& type : lexicon.types_) types += type + '\n';
    const TrieView& trie = lexicon.trie_.layout();
    Header header{};
    std::memcpy(header.magic, kMagic, sizeof(kMagic));
    header.format_version = kFormatVersion;
    header.byte_order = kByteOrder;
    header.entry_count = lexicon.entry_count_;
    header.lexicon_version = lexicon.version_;
    header.node_count = static_cast<std::uint32_t>(trie.node_count);
    header.page_count = static_cast<std::uint32_t>(trie.page_count);
    header.code_count = trie.code_count;
    header.word_bytes = lexicon.word_offsets_[lexicon.entry_count_];
    header.type_bytes = static_cast<std::uint32_t>(types.size());
    header.name_bytes = static_cast<std::uint32_t>(lexicon.name_.size());
    header.trust = lexicon.trust_;
    header.trust_count = lexicon.trusts_ != nullptr ? lexicon.entry_count_ : 0;
    const auto extents = sections_of(header, header.file_size);
    const std::array<const void*, kSections> contents = {
        trie.page_index,     trie.pages,      trie.nodes,          lexicon.entry_types_,
        lexicon.weights_,    lexicon.trusts_, lexicon.hashes_,     lexicon.word_offsets_,
        lexicon.word_bytes_, types.data(),    lexicon.name_.data()};
    std::string bytes(header.file_size, '\0');
    std::memcpy(bytes.data(), &header, sizeof(header));
    for (std::size_t i = 0; i < kSections; ++i) {
        if (extents[i].size > 0) std::memcpy(bytes.data() + extents[i].offset, contents[i], extents[i].size);
    }
    header.checksum = file_checksum(bytes.data(), bytes.size(), sizeof(header));
    std::memcpy(bytes.data(), &header, sizeof(header));
    return bytes;
}

Header LexiconFile::read_header(const char* bytes, std::size_t size, const std::string& source) {
    Header header{};
    if (size < kFirstHeaderSize) {
        throw LexiconError(source + ": truncated: " + std::to_string(size) +
                           " bytes, less than the header's 64");
    }
    std::memcpy(&header, bytes, kFirstHeaderSize);
    header.trust = kTrustUnsaid;
    if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
        throw LexiconError(source + ": not a lexicon file (it does not begin with DXLEX)");
    }
    if (header.byte_order != kByteOrder) {
        throw LexiconError(source +
                           ": written on a machine of another byte order; build it again on this one");
    }
    if (header.format_version < kOldestFormatVersion || header.format_version > kFormatVersion) {
        throw LexiconError(
            source + ": format version " + std::to_string(header.format_version) +
            "; this program reads versions 1 to " + std::to_string(kFormatVersion) +
            (header.format_version > kFormatVersion ? " (the file is newer: upgrade distillex)" : ""));
    }
    const std::size_t header_bytes = header_size(header.format_version);
    if (size < header_bytes) throw LexiconError(source + ": truncated: it ends within its header");
    std::memcpy(&header, bytes, header_bytes);
    std::uint64_t expected = 0;
    sections_of(header, expected);
    const bool trusts_fit = header.trust_count == 0 || header.trust_count == header.entry_count;
    if (header.file_size != expected || expected > kLargestFile || !trusts_fit) {
        throw LexiconError(source + ": corrupted: its header contradicts itself");
    }
    if (size != expected) {
        throw LexiconError(source + (size < expected ? ": truncated: " : ": corrupted: ") +
                           std::to_string(size) + " bytes where its header says " + std::to_string(expected));
    }
    if (file_checksum(bytes, size, header_bytes) != header.checksum) {
        throw LexiconError(source + ": corrupted: its checksum does not fit its content");
    }
    return header;
}

void LexiconFile::check_entries(const Lexicon& lexicon, const Header& header) {
    const std::uint32_t count = header.entry_count;
    if (lexicon.word_offsets_[0] != 0 || lexicon.word_offsets_[count] != header.word_bytes) {
        throw LexiconError("its words do not fill their section");
    }
    bool ordered = true;
    bool typed = true;
    bool weighted = true;
    bool trusted = is_trust(static_cast<double>(lexicon.trust_));
    for (std::uint32_t i = 0; i < count; ++i) {
        ordered &= lexicon.word_offsets_[i] < lexicon.word_offsets_[i + 1];
        typed &= lexicon.entry_types_[i] < lexicon.types_.size() || lexicon.entry_types_[i] == kHiddenType;
        weighted &= lexicon.weights_[i] > 0.0F && lexicon.weights_[i] <= 1.0F;
    }
    for (std::uint32_t i = 0; i < header.trust_count; ++i) {
        trusted &= is_trust(static_cast<double>(lexicon.trusts_[i]));
    }
    if (!ordered) throw LexiconError("its words overlap");
    if (!typed) throw LexiconError("an entry has a type that the file does not name");
    if (!weighted) throw LexiconError("a weight is not in (0, 1]");
    if (!trusted) throw LexiconError("a trust is neither a level nor a number from 0 to 1000");
    std::u32string word;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (is_plain(lexicon.word(i))) continue;
        word.clear();
        if (decode_utf8(lexicon.word(i), word) != std::string_view::npos)
            throw LexiconError("a word is not UTF-8");
        check_word(word);
    }
}

// Format 1 was written when traditional characters, radicals and the like were compared as they are; a word
// that is compared otherwise now would never be found, and its hash is another one.
void LexiconFile::check_words_are_folded(const Lexicon& lexicon, const std::string& source) {
    std::u32string word;
    for (std::uint32_t i = 0; i < lexicon.size(); ++i) {
        word.clear();
        decode_utf8(lexicon.word(i), word);
        const std::u32string folded = normalized_word(word);
        if (folded == word) continue;
        throw LexiconError(
            source + ": written by an earlier distillex: its word " + in_quotes(word) + " is compared as " +
            in_quotes(folded) +
            " now; build it again from its word list (distillex lexicon push NAME words.tsv, a "
            "base lexicon: distillex lexicon build -o FILE)");
    }
}

std::shared_ptr<const Content> LexiconFile::read(const std::filesystem::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) throw LexiconError(system_message(path, "cannot be opened"));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) throw LexiconError(system_message(path, "cannot be read"));
    if (!S_ISREG(status.st_mode)) throw LexiconError(path.string() + ": not a regular file");
    const auto content = std::make_shared<Content>(static_cast<std::size_t>(status.st_size), path.string());
    std::size_t have = 0;
    while (have < content->size()) {
        const ssize_t n = ::read(file.get(), content->data() + have, content->size() - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw LexiconError(system_message(path, "cannot be read"));
        if (n == 0) throw LexiconError(path.string() + ": truncated: it was cut short while it was read");
        have += static_cast<std::size_t>(n);
    }
    return content;
}

std::shared_ptr<const Lexicon> LexiconFile::parse(std::shared_ptr<const Content> content,
                                                  const std::string& source) {
    const char* const bytes = content->data();
    const Header header = read_header(bytes, content->size(), source);
    std::uint64_t file_size = 0;
    const auto extents = sections_of(header, file_size);
    const auto section = [&](Section which) { return bytes + extents[which].offset; };

    std::shared_ptr<Lexicon> lexicon(new Lexicon());
    lexicon->name_.assign(section(kName), header.name_bytes);
    lexicon->version_ = header.lexicon_version;
    lexicon->trust_ = header.trust;
    lexicon->entry_count_ = header.entry_count;
    lexicon->entry_types_ = reinterpret_cast<const std::uint16_t*>(section(kEntryTypes));
    lexicon->weights_ = reinterpret_cast<const float*>(section(kWeights));
    if (header.trust_count > 0) lexicon->trusts_ = reinterpret_cast<const Trust*>(section(kTrusts));
    lexicon->hashes_ = reinterpret_cast<const std::uint32_t*>(section(kHashes));
    lexicon->word_offsets_ = reinterpret_cast<const std::uint32_t*>(section(kWordOffsets));
    lexicon->word_bytes_ = section(kWords);
    TrieView view;
    view.page_index = reinterpret_cast<const std::uint16_t*>(section(kPageIndex));
    view.pages = reinterpret_cast<const std::uint32_t*>(section(kPages));
    view.page_count = header.page_count;
    view.nodes = reinterpret_cast<const TrieNode*>(section(kNodes));
    view.node_count = header.node_count;
    view.code_count = header.code_count;
    try {
        check_name(lexicon->name_);
        std::string_view types(section(kTypes), header.type_bytes);
        while (!types.empty()) {
            const std::size_t end = types.find('\n');
            if (end == std::string_view::npos) throw LexiconError("a type name has no end");
            check_type(types.substr(0, end), U"");
            lexicon->types_.emplace_back(types.substr(0, end));
            types.remove_prefix(end + 1);
        }
        check_entries(*lexicon, header);
        lexicon->trie_ = DoubleArrayTrie::view(view, header.entry_count, content);
    } catch (const std::invalid_argument& error) {
        throw LexiconError(source + ": corrupted: " + error.what());
    } catch (const LexiconError& error) {
        throw LexiconError(source + ": corrupted: " + error.what());
    }
    if (header.format_version == 1) check_words_are_folded(*lexicon, source);
    lexicon->owner_ = std::move(content);
    return lexicon;
}

std::shared_ptr<const Lexicon> Lexicon::load(const std::filesystem::path& path) {
    return LexiconFile::parse(LexiconFile::read(path), path.string());
}

std::shared_ptr<const Lexicon> Lexicon::from_bytes(std::string_view bytes) {
    const std::string source = "the lexicon file";
    const auto content = std::make_shared<Content>(bytes.size(), source);
    std::memcpy(content->data(), bytes.data(), bytes.size());
    return LexiconFile::parse(content, source);
}

std::string Lexicon::to_bytes() const { return LexiconFile::serialize(*this); }

void Lexicon::save(const std::filesystem::path& path) const {
    const std::string bytes = to_bytes();
    std::string temporary = path.string() + ".XXXXXX";
    {
        const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
        if (file.get() < 0) throw LexiconError(system_message(path, "cannot be written"));
        std::size_t written = 0;
        while (written < bytes.size()) {
            const ssize_t n = ::write(file.get(), bytes.data() + written, bytes.size() - written);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) {
                const std::string message = system_message(path, "cannot be written");
                ::unlink(temporary.c_str());
                throw LexiconError(message);
            }
            written += static_cast<std::size_t>(n);
        }
        ::fchmod(file.get(), 0644);
        if (::fsync(file.get()) != 0) {
            const std::string message = system_message(path, "cannot be written");
            ::unlink(temporary.c_str());
            throw LexiconError(message);
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        const std::string message = system_message(path, "cannot be written");
        ::unlink(temporary.c_str());
        throw LexiconError(message);
    }
}

}  // namespace distillex
