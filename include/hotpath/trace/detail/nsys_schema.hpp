// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/nsys_schema.hpp - the tables, columns and enumerations of nsys' exports, as far as they are read. Not for users.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/trace/nsys_sqlite.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

// Which columns of which tables are read.
struct nsys_column {
  std::string_view name;
  bool needed = false;                   // without it a figure is missing, and that is a loss
};
struct nsys_table {
  std::string_view name;
  std::span<const nsys_column> columns;
  std::size_t brief;                     // how many of the columns a brief reader gets
};
inline constexpr nsys_column kernel_columns[] = {{"start", true}, {"end", true}, {"demangledName", true}, {"shortName"}, {"mangledName"}, {"deviceId", true}, {"streamId", true},
  {"correlationId", true}, {"globalPid", true}, {"graphNodeId"}, {"graphId"}, {"registersPerThread"}, {"gridX"}, {"gridY"}, {"gridZ"}, {"blockX"}, {"blockY"}, {"blockZ"},
  {"staticSharedMemory"}, {"dynamicSharedMemory"}};
inline constexpr nsys_column graph_columns[] = {{"start", true}, {"end", true}, {"graphId", true}, {"deviceId", true}, {"streamId", true}, {"correlationId", true}, {"globalPid", true}};
inline constexpr nsys_column copy_columns[] = {{"start", true}, {"end", true}, {"bytes", true}, {"copyKind", true}, {"srcKind"}, {"dstKind"}, {"deviceId", true}, {"streamId", true},
  {"correlationId", true}, {"globalPid", true}, {"graphNodeId"}};
inline constexpr nsys_column set_columns[] = {{"start", true}, {"end", true}, {"bytes", true}, {"memKind"}, {"deviceId", true}, {"streamId", true}, {"correlationId", true}, {"globalPid", true},
  {"graphNodeId"}};
inline constexpr nsys_column api_columns[] = {{"start", true}, {"end", true}, {"nameId", true}, {"globalTid", true}, {"correlationId", true}};
inline constexpr nsys_column nvtx_columns[] = {{"start", true}, {"end", true}, {"eventType", true}, {"text"}, {"textId"}, {"domainId"}, {"globalTid", true}};
inline constexpr nsys_column sync_columns[] = {{"start", true}, {"end", true}, {"syncType", true}, {"deviceId", true}, {"streamId", true}, {"correlationId", true}, {"globalPid", true},
  {"eventId"}, {"eventSyncId"}};
inline constexpr nsys_table nsys_kernels{"CUPTI_ACTIVITY_KIND_KERNEL", kernel_columns, 3};
inline constexpr nsys_table nsys_graphs{"CUPTI_ACTIVITY_KIND_GRAPH_TRACE", graph_columns, 3};
inline constexpr nsys_table nsys_copies{"CUPTI_ACTIVITY_KIND_MEMCPY", copy_columns, 6};
inline constexpr nsys_table nsys_sets{"CUPTI_ACTIVITY_KIND_MEMSET", set_columns, 4};
inline constexpr nsys_table nsys_api{"CUPTI_ACTIVITY_KIND_RUNTIME", api_columns, 3};
inline constexpr nsys_table nsys_nvtx{"NVTX_EVENTS", nvtx_columns, 7};
inline constexpr nsys_table nsys_syncs{"CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", sync_columns, 9};

// What ENUM_* tables say, for exports without them (schema 3.25).
struct nsys_word {
  std::int64_t id = 0;
  std::string name, label;
};
struct known_word {
  std::uint8_t id;
  std::string_view name, label;
};
inline constexpr known_word known_copies[] = {{0, "CUDA_MEMCPY_KIND_UNKNOWN", "Unknown"}, {1, "CUDA_MEMCPY_KIND_HTOD", "Host-to-Device"}, {2, "CUDA_MEMCPY_KIND_DTOH", "Device-to-Host"},
  {3, "CUDA_MEMCPY_KIND_HTOA", "Host-to-Array"}, {4, "CUDA_MEMCPY_KIND_ATOH", "Array-to-Host"}, {5, "CUDA_MEMCPY_KIND_ATOA", "Array-to-Array"}, {6, "CUDA_MEMCPY_KIND_ATOD", "Array-to-Device"},
  {7, "CUDA_MEMCPY_KIND_DTOA", "Device-to-Array"}, {8, "CUDA_MEMCPY_KIND_DTOD", "Device-to-Device"}, {9, "CUDA_MEMCPY_KIND_HTOH", "Host-to-Host"}, {10, "CUDA_MEMCPY_KIND_PTOP", "Peer-to-Peer"},
  {11, "CUDA_MEMCPY_KIND_UVM_HTOD", "Unified Host-to-Device"}, {12, "CUDA_MEMCPY_KIND_UVM_DTOH", "Unified Device-to-Host"}, {13, "CUDA_MEMCPY_KIND_UVM_DTOD", "Unified Device-to-Device"}};
inline constexpr known_word known_memories[] = {{0, "CUDA_MEMOPR_MEMORY_KIND_PAGEABLE", ""}, {1, "CUDA_MEMOPR_MEMORY_KIND_PINNED", ""}, {2, "CUDA_MEMOPR_MEMORY_KIND_DEVICE", ""},
  {3, "CUDA_MEMOPR_MEMORY_KIND_ARRAY", ""}, {4, "CUDA_MEMOPR_MEMORY_KIND_MANAGED", ""}, {5, "CUDA_MEMOPR_MEMORY_KIND_DEVICE_STATIC", ""}, {6, "CUDA_MEMOPR_MEMORY_KIND_MANAGED_STATIC", ""}};
inline constexpr known_word known_syncs[] = {{1, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_EVENT_SYNCHRONIZE", ""}, {2, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT", ""},
  {3, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE", ""}, {4, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_CONTEXT_SYNCHRONIZE", ""}};
inline constexpr known_word known_nvtx[] = {{34, "NvtxMark", ""}, {59, "NvtxPushPopRange", ""}, {60, "NvtxStartEndRange", ""}, {75, "NvtxDomainCreate", ""}};

// How the model counts them: the last word of CUPTI's names, in the order of CUPTI's numbers.
inline constexpr std::string_view copy_words[] = {"UNKNOWN", "HTOD", "DTOH", "HTOA", "ATOH", "ATOA", "ATOD", "DTOA", "DTOD", "HTOH", "PTOP"};
inline constexpr std::string_view memory_words[] = {"UNKNOWN", "PAGEABLE", "PINNED", "DEVICE", "ARRAY", "MANAGED", "DEVICE_STATIC", "MANAGED_STATIC"};

struct nsys_meaning {
  std::uint8_t code = 0;
  std::string label;
};
// Of small ids; what is beyond has no meaning.
using nsys_meanings = std::array<nsys_meaning, 256>;

// What an export has.
struct nsys_found_table {
  std::string name;
  std::vector<std::string> columns;
  bool has_rows = false;
};

inline bool has_column(const nsys_found_table& t, std::string_view column) {
  for (const std::string& c : t.columns)
    if (c == column) return true;
  return false;
}

// How many of a table's columns are read.
inline std::size_t columns_read(const nsys_wants& wants, const nsys_table& t, const nsys_found_table& there) {
  if (!wants.brief) return t.columns.size();
  return t.name == nsys_kernels.name && (wants.short_names || !has_column(there, "demangledName")) ? 5 : t.brief;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
