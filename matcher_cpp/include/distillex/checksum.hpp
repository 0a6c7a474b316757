// A 64-bit checksum at memory speed: it guards files against accidents, not against forgers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace distillex {

inline std::uint64_t checksum64(const void* bytes, std::size_t size, std::uint64_t seed = 0) {
    constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;
    const auto mix = [](std::uint64_t lane, std::uint64_t word) {
        lane = (lane ^ word) * kMultiplier;
        return lane ^ (lane >> 29);
    };
    const auto* data = static_cast<const unsigned char*>(bytes);
    // Four independent lanes keep the multiplier's latency hidden.
    std::uint64_t lanes[4] = {seed + 1, seed + 2, seed + 3, seed + 4};
    std::size_t i = 0;
    for (; i + 32 <= size; i += 32) {
        std::uint64_t words[4];
        std::memcpy(words, data + i, 32);
        for (int k = 0; k < 4; ++k) lanes[k] = mix(lanes[k], words[k]);
    }
    std::uint64_t result = mix(size, seed);
    for (const std::uint64_t lane : lanes) result = mix(result, lane);
    for (; i < size; ++i) result = mix(result, data[i] + std::uint64_t{1});
    return mix(result, result >> 32);
}

}  // namespace distillex
