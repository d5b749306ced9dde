#include "kernels/base/index_fault.h"

#include <array>
#include <atomic>
#include <mutex>

#include "kernels/base/memory.h"

namespace tenon {
namespace {

struct Record {
  std::once_flag made;
  Buffer buffer;
  std::atomic<bool> given = false;  // to a kernel that may not have been asked about yet
};

Record& record(Device device) {
  static std::array<Record, 3> records;
  return records[static_cast<size_t>(device)];
}

void clear(Device device, const Record& of) {
  memory_backend(device).fill_zero(of.buffer.data(), sizeof(IndexFault));
}

struct Words {
  std::string_view index, table, advice;
};
constexpr Words words[] = {{"token id", "the vocabulary", "use the tokenizer of this encoder"},
                           {"position", "the position table", "lower --max-length"},
                           {"token type", "the token type table", "give 0, or 1 for a second text"}};

}  // namespace

std::string describe(const IndexFault& fault) {
  if (fault.kind == IndexKind::row)
    return str("index ", fault.index, " at place ", fault.row, " picks no row of a tensor that has ",
               fault.size);
  if (fault.kind == IndexKind::label)
    return str("label ", fault.index, " at row ", fault.row, " is none of the ", fault.size,
               " classes; labels count from 0");
  const auto& [index, table, advice] = words[static_cast<int>(fault.kind)];
  return str(index, " ", fault.index, " at row ", fault.row, fault.index < 0 ? " is below " : " is past ",
             table, " of ", fault.size, "; ", advice);
}

IndexFault* index_fault(Device device) {
  Record& of = record(device);
  std::call_once(of.made, [&] {
    of.buffer = Buffer(device, sizeof(IndexFault));
    clear(device, of);
  });
  of.given = true;
  return of.buffer.as<IndexFault>();
}

void throw_index_fault(Device device) {
  Record& of = record(device);
  if (!of.given.exchange(false)) return;
  IndexFault fault;
  memory_backend(device).download(&fault, of.buffer.data(), sizeof fault);
  if (fault.count == 0) return;
  clear(device, of);
  fail(describe(fault));
}

}  // namespace tenon
