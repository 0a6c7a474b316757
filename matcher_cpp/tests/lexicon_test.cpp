// Lexicons: building, saving, opening, and refusal of damaged files.
#include "distillex/lexicon.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace distillex {
namespace {

class LexiconTest : public ::testing::Test {
  protected:
    LexiconTest()
        : path_(std::filesystem::temp_directory_path() /
                ("distillex-" + std::to_string(::getpid()) + ".lex")) {}
    ~LexiconTest() override { std::filesystem::remove(path_); }

    static std::shared_ptr<const Lexicon> small() {
        return Lexicon::build(
            {{U"ＩＢＭ", "company", false, 1.0F}, {U"北京", "ns", false, 0.5F}, {U"的", "", true, 1.0F}},
            Repeats::kRefuse, "finance", 3);
    }
    std::string read() const {
        std::ifstream file(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void write(const std::string& content) const { std::ofstream(path_, std::ios::binary) << content; }

    std::filesystem::path path_;
};

TEST_F(LexiconTest, KeepsEverythingThroughAFile) {
    small()->save(path_);
    const auto opened = Lexicon::load(path_);
    EXPECT_EQ(opened->size(), 3U);
    EXPECT_EQ(opened->name(), "finance");
    EXPECT_EQ(opened->version(), 3U);
    EXPECT_EQ(opened->word(0), "ibm");
    EXPECT_EQ(opened->types().at(opened->entry_type(1)), "ns");
    EXPECT_EQ(opened->entry_type(2), kHiddenType);
    EXPECT_EQ(opened->entry_weight(1), 0.5F);
    EXPECT_EQ(opened->entry_hash(1), small()->entry_hash(1));
    EXPECT_EQ(opened->checksum(), small()->checksum());
}

TEST_F(LexiconTest, RefusesEveryTruncation) {
    small()->save(path_);
    const std::string content = read();
    for (std::size_t size = 0; size < content.size(); size += 7) {
        write(content.substr(0, size));
        EXPECT_THROW(Lexicon::load(path_), LexiconError) << size;
    }
}

TEST_F(LexiconTest, RefusesFlippedBits) {
    small()->save(path_);
    const std::string content = read();
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        std::string broken = content;
        broken[random() % broken.size()] ^= static_cast<char>(1U << (random() % 8));
        write(broken);
        EXPECT_THROW(Lexicon::load(path_), LexiconError);
    }
}

}  // namespace
}  // namespace distillex
