// Numbers are written and read alike where the decimal separator is a comma, and thousands are grouped.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <locale>

#include "distillex/decimal.hpp"
#include "distillex/lexicon.hpp"
#include "entities_json.hpp"

#if defined(__has_feature)
#define DISTILLEX_HAS_FEATURE(name) __has_feature(name)
#else
#define DISTILLEX_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || DISTILLEX_HAS_FEATURE(address_sanitizer)  // GCC, clang
#include <sanitizer/lsan_interface.h>
#else
namespace __lsan {
struct ScopedDisabler {
    ScopedDisabler() {}  // not trivial, so that no compiler calls a guard unused
};
}  // namespace __lsan
#endif

namespace distillex {
namespace {

constexpr const char* kGerman = "de_DE.UTF-8";

bool take_german_numbers() {
    const __lsan::ScopedDisabler guard;  // glibc loses what it makes of LOCPATH
    try {
        std::locale::global(std::locale(kGerman));  // of C++ and of C
        return true;
    } catch (const std::runtime_error&) {
        return false;
    }
}

class CommaLocale : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (take_german_numbers()) {
            std::locale::global(std::locale::classic());
            return;
        }
        // Not installed: built in a folder of our own, where the system has the sources of its locales.
        std::filesystem::create_directory(folder());
        const std::string target = (folder() / kGerman).string();
        const std::string command = "localedef -i de_DE -f UTF-8 '" + target + "' >/dev/null 2>&1";
        if (std::system(command.c_str()) == 0) ::setenv("LOCPATH", folder().c_str(), 1);
    }
    static void TearDownTestSuite() {
        ::unsetenv("LOCPATH");
        std::filesystem::remove_all(folder());
    }
    void SetUp() override {
        if (!take_german_numbers()) {
            GTEST_SKIP() << "no locale " << kGerman
                         << " here, nor its sources (Debian: apt-get install locales)";
        }
        char half[8];
        std::snprintf(half, sizeof half, "%.1f", 0.5);
        ASSERT_STREQ(half, "0,5");
    }
    void TearDown() override { std::locale::global(std::locale::classic()); }

  private:
    static std::filesystem::path folder() {
        return std::filesystem::temp_directory_path() / ("distillex-locale-" + std::to_string(::getpid()));
    }
};

TEST_F(CommaLocale, ScoresKeepTheirPointInJson) {
    const LabelScheme scheme({"name"});
    const auto rows = entities_json(scheme, {{0, 0, 1, 0, 0.25F}}, {"甲"});
    EXPECT_EQ(rows[0], R"([{"start":0,"end":1,"type":"name","text":"甲","score":0.2500}])");
}

TEST_F(CommaLocale, NumbersAreReadWithAPoint) {
    EXPECT_EQ(parse_decimal("0.5"), 0.5);
    EXPECT_EQ(parse_decimal("0,5"), std::nullopt);
    EXPECT_EQ(shortest_decimal(1234.5), "1234.5");
}

TEST_F(CommaLocale, MessagesNameWeightsAsTheyAreWritten) {
    LexiconEntryInput entry;
    entry.word = U"甲";
    entry.type = "name";
    entry.weight = 1234.5;
    try {
        check_entry(entry);
        FAIL() << "a weight above 1 was accepted";
    } catch (const LexiconError& error) {
        EXPECT_STREQ(error.what(), "the weight 1234.5 of '甲' is not in (0, 1]");
    }
}

TEST(Decimal, OnlyWholeNumbersInRangeAreRead) {
    EXPECT_EQ(parse_decimal("1e-3"), 1e-3);
    for (const char* text : {"", "x", "0.5x", " 0.5", "0.5 ", "1e999", "--1"}) {
        EXPECT_EQ(parse_decimal(text), std::nullopt) << text;
    }
}

TEST(Decimal, FixedDigitsAreRoundedToTheNearest) {
    const auto fixed = [](double number) {
        std::string text;
        append_fixed(number, 4, text);
        return text;
    };
    EXPECT_EQ(fixed(0.99995), "1.0000");
    EXPECT_EQ(fixed(0.00004), "0.0000");
    EXPECT_EQ(fixed(0.12346), "0.1235");
}

}  // namespace
}  // namespace distillex
