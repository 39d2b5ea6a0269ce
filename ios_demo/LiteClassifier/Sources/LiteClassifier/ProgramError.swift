import Foundation

/// What ExecuTorch means by the number in `message`, and what its log adds; the message itself where
/// there is no number, or one that says nothing to a person.
///
/// The words are those of `runtime_check/runtimes/translate.py`, and `program_errors.json` holds them
/// together. While a file is `loading` no input is there that could be wrong. The number is written
/// as `failed with 0x10 (NotSupported): why` by `executorch_core.cpp`.
func programError(_ message: String, loading: Bool) -> String {
  let pattern = #/failed with 0x([0-9a-f]{1,7})\b(?: \(\w+\))?(?:: )?(.*)/#
  guard let match = message.firstMatch(of: pattern),
    let number = Int(match.1, radix: 16),
    let meaning = (loading ? nil : ofInputs[number]) ?? meanings[number]
  else { return message }
  var why = String(match.2.prefix(300))
  while why.last == "." || why.last == " " { why.removeLast() }
  let code = String(format: "0x%02x", number)
  return why.isEmpty ? "\(meaning) (\(code))" : "\(meaning) (\(code): \(why))"
}

private let ofInputs = [
  0x10: "an input is larger than the program was made for, or has another shape",
  0x12: "the inputs are of another type than the program was made for, or not as many",
]

// executorch/runtime/core/error.h. Those that are left out say nothing to a person.
private let meanings = [
  0x01: "the runtime failed inside",
  0x10: "it asks for something that this runtime does not support",
  0x11: "it asks for something that this runtime does not have",
  0x12: "it, or an input, states something impossible",
  0x14: "it calls an operator that this runtime does not have",
  0x20: "something that it refers to is not there: a backend, a method, or some of its data",
  0x21: "it asks for more memory than was planned for it, or than there is",
  0x22: "the file cannot be read",
  0x23: "the program is damaged or incomplete",
  0x30: "the part of it that was prepared for XNNPACK is damaged, or of another version",
]
