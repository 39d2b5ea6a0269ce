import Foundation
import LiteClassifier

#if canImport(CryptoKit)
  public let cryptography: any Cryptography = AppleCryptography()
#else
  import CCrypto

  /// OpenSSL's, where there is no CryptoKit.
  private struct OpenSSL: Cryptography {
    func sha256(_ data: Data) -> Data {
      var digest = [UInt8](repeating: 0, count: 32)
      let done = data.withUnsafeBytes { bytes in
        EVP_Digest(bytes.baseAddress, bytes.count, &digest, nil, EVP_sha256(), nil)
      }
      precondition(done == 1)
      return Data(digest)
    }

    func isSignature(_ signature: Data, of message: Data, by key: Data) -> Bool {
      let (raw, signed, text) = ([UInt8](key), [UInt8](signature), [UInt8](message))
      let pointer = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, raw, raw.count)
      let context = EVP_MD_CTX_new()
      defer {
        EVP_MD_CTX_free(context)
        EVP_PKEY_free(pointer)
      }
      return EVP_DigestVerifyInit(context, nil, nil, nil, pointer) == 1
        && EVP_DigestVerify(context, signed, signed.count, text, text.count) == 1
    }
  }

  public let cryptography: any Cryptography = OpenSSL()
#endif
