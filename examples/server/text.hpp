// SPDX-License-Identifier: Apache-2.0
// text.hpp - text to tokens and back: a token is a byte.
//   0 to 255      the byte
//   256           end of text: ends an answer, and each message of a chat
//   257 258 259   a message of the user, the assistant, the system follows
//   260 and up    no text: prompts of token ids may hold them, as those of load tools do
//   The model writes only what can be seen (32 to 126) and the end, so that each token of an answer is one character.
#pragma once
#include <string_view>
#include <vector>
#include <hotpath/kv/hash.hpp>

namespace server {

using namespace hotpath;

inline constexpr kv::token first_visible = 32, last_visible = 126, end_of_text = 256, user_says = 257, assistant_says = 258, system_says = 259;

inline void encode(std::string_view text, std::vector<kv::token>& out) {
  for (const char c : text) out.push_back(static_cast<unsigned char>(c));
}

// One message of a chat; roles that are none of the three count as the user. The prompt ends with assistant_says.
inline void encode_message(std::string_view role, std::string_view text, std::vector<kv::token>& out) {
  out.push_back(role == "system" || role == "developer" ? system_says : role == "assistant" ? assistant_says : user_says);
  encode(text, out);
  out.push_back(end_of_text);
}

}  // namespace server
