// What cryptolib and hashlib call of Mbed TLS; tables in flash, as a board with little RAM has them.
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_CIPHER_MODE_CBC
#define MBEDTLS_SHA1_C
#define MBEDTLS_SHA256_C
