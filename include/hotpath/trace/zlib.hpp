// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/zlib.hpp - gzip files by zlib: trace::read<trace::zlib>("rank0.json.gz"). Component zlib.
//   Text at 0.4 to 1 GB/s a core, as it compressed. See trace/isal.hpp for twice that.
#pragma once
#include <zlib.h>
#include <hotpath/trace/source.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

class zlib {
 public:
  zlib() { ready_ = ::inflateInit2(&stream_, 15 + 16) == Z_OK; }  // 15: the largest window; 16: gzip, with its checksum
  zlib(const zlib&) = delete;
  zlib& operator=(const zlib&) = delete;
  ~zlib() {
    if (ready_) ::inflateEnd(&stream_);
  }

  inflate_state inflate(const char*& in, const char* in_end, char*& out, char* out_end) {
    if (!ready_) return inflate_state::bad_data;
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in));  // not const unless ZLIB_CONST, though it only reads
    stream_.avail_in = clamp(in_end - in);
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = clamp(out_end - out);
    const int state = ::inflate(&stream_, Z_NO_FLUSH);
    in = reinterpret_cast<const char*>(stream_.next_in);
    out = reinterpret_cast<char*>(stream_.next_out);
    if (state == Z_STREAM_END) return inflate_state::member_end;
    if (state == Z_OK || state == Z_BUF_ERROR) return inflate_state::more;
    // The trailer holds the checksum and the length; what comes before it is all there.
    const std::string_view why = stream_.msg != nullptr ? stream_.msg : "";
    return why == "incorrect data check" || why == "incorrect length check" ? inflate_state::bad_checksum : inflate_state::bad_data;
  }
  void restart() { ::inflateReset(&stream_); }

  // What the first bytes of a gzip file unpack to, at most `room`; 0 if they are no gzip. For trace::discover.
  static std::size_t head(std::string_view packed, char* to, std::size_t room) {
    zlib z;
    const char* in = packed.data();
    char* out = to;
    z.inflate(in, packed.data() + packed.size(), out, to + room);
    return static_cast<std::size_t>(out - to);
  }

 private:
  static uInt clamp(std::ptrdiff_t n) { return n < (1 << 30) ? static_cast<uInt>(n) : uInt{1} << 30; }
  z_stream stream_{};
  bool ready_ = false;
};
static_assert(inflater<zlib>);

}  // namespace hotpath::inline HOTPATH_ABI::trace
