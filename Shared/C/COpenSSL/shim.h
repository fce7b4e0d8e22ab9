#pragma once
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

// 1 on success. One digest context a thread: making one costs more than hashing a token. `digest` is fetched once by the
// caller: an implicit fetch in OpenSSL 3.0 walks the provider tables under a lock.
static inline int copenssl_sha256(const EVP_MD *digest, const void *bytes, size_t count, unsigned char *out) {
    static __thread EVP_MD_CTX *context;
    if (!context) context = EVP_MD_CTX_new();
    return EVP_DigestInit_ex2(context, digest, NULL) && EVP_DigestUpdate(context, bytes, count)
        && EVP_DigestFinal_ex(context, out, NULL);
}
