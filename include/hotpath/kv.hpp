// SPDX-License-Identifier: Apache-2.0
// hotpath/kv.hpp - one notion of a KV block: how it is named (hash) and who holds it (pool).
//   The same two serve an inference server's paged cache, the analysis of a trace's prefixes, and the simulator.
//
//     kv::pool blocks{1024};                                                  // 1,024 blocks of 16 tokens
//     std::vector<kv::block_hash> names;
//     kv::hash_blocks(kv::mix_hash{}, prompt, 16, names);                     // one name per full block of the prompt
//     std::vector<kv::block_id> table;
//     const std::size_t cached = blocks.share(names, table);                  // the longest prefix that is there: 16 * cached tokens
//     if (!blocks.allocate(names.size() - cached, table)) …                   // full: wait, or make room
//     for (std::size_t i = cached; i < names.size(); ++i) blocks.publish(table[i], names[i]);   // once computed
//     blocks.release(table);                                                  // what is named stays until its room is needed
#pragma once
#include <hotpath/kv/hash.hpp>
#include <hotpath/kv/pool.hpp>
