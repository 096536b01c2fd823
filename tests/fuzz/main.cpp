// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over files, for compilers without libFuzzer: every file, and every file cut at a few places.
//   replay_TARGET FILE|FOLDER...
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {
void feed(const std::string& bytes, std::size_t size) {
  // A heap copy of just this size, so that a sanitizer sees a read past its end.
  const std::vector<std::uint8_t> copy(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}
}  // namespace

int main(int argc, char** argv) {
  std::size_t inputs = 0;
  auto file = [&](const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    feed(bytes, bytes.size());
    for (std::size_t eighth = 1; eighth < 8; ++eighth) feed(bytes, bytes.size() * eighth / 8);
    ++inputs;
  };
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i]))
        if (entry.is_regular_file()) file(entry.path());
    } else {
      file(argv[i]);
    }
  }
  std::printf("%zu files\n", inputs);
  return inputs != 0 ? 0 : 1;
}
