// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/isal.hpp - gzip files by Intel's ISA-L: trace::read<trace::isal>("rank0.json.gz"). Component isal.
//   About twice as fast as zlib on x86-64 and AArch64.
#pragma once
#include <isa-l/igzip_lib.h>
#include <hotpath/trace/source.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

class isal {
 public:
  isal() : state_(1) { restart(); }

  inflate_state inflate(const char*& in, const char* in_end, char*& out, char* out_end) {
    inflate_state_of_isal& s = state_[0];
    s.next_in = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(in));
    s.avail_in = clamp(in_end - in);
    s.next_out = reinterpret_cast<std::uint8_t*>(out);
    s.avail_out = clamp(out_end - out);
    const int state = ::isal_inflate(&s);
    in = reinterpret_cast<const char*>(s.next_in);
    out = reinterpret_cast<char*>(s.next_out);
    if (state == ISAL_INCORRECT_CHECKSUM) return inflate_state::bad_checksum;
    if (state < 0) return inflate_state::bad_data;
    return s.block_state == ISAL_BLOCK_FINISH ? inflate_state::member_end : inflate_state::more;
  }
  void restart() {
    ::isal_inflate_init(&state_[0]);
    state_[0].crc_flag = ISAL_GZIP;  // header and checksum are its work
  }

  // What the first bytes of a gzip file unpack to, at most `room`; 0 if they are no gzip. For trace::discover.
  static std::size_t head(std::string_view packed, char* to, std::size_t room) {
    isal z;
    const char* in = packed.data();
    char* out = to;
    z.inflate(in, packed.data() + packed.size(), out, to + room);
    return static_cast<std::size_t>(out - to);
  }

 private:
  using inflate_state_of_isal = struct ::inflate_state;
  static std::uint32_t clamp(std::ptrdiff_t n) { return n < (1 << 30) ? static_cast<std::uint32_t>(n) : std::uint32_t{1} << 30; }
  std::vector<inflate_state_of_isal> state_;  // 80 KiB: not on the stack
};
static_assert(inflater<isal>);

}  // namespace hotpath::inline HOTPATH_ABI::trace
