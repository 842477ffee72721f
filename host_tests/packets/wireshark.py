"""A configuration for Wireshark and tshark that decrypts: the files of keys that they know, in a folder of their own.

`rows` have the keys of a tunnel each: ciphers of the IKE SA and of the Child SA, and a list in hex of SPIi, SPIr,
SK_ei, SK_er, SK_ai, SK_ar, then of the Child SA the SPIs inbound and outbound and the keys of both.
"""

_IKE = {
    "aes-cbc-256": ("AES-CBC-256 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
    "aes-cbc-128": ("AES-CBC-128 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
    "aes-gcm-16-256": ("AES-GCM-256 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    "aes-gcm-16-128": ("AES-GCM-128 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
}
_ESP_CBC = "AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"
_ESP_GCM = "AES-GCM with 16 octet ICV [RFC4106]", "NULL"
_INTEGRITY = 64  # hex digits of HMAC-SHA-256's key, behind that of AES-CBC
_PREFERENCES = "esp.enable_encryption_decode: TRUE", "esp.enable_authentication_check: TRUE"


def ike_row(cipher, spi_i, spi_r, sk_ei, sk_er, sk_ai, sk_ar):
    """A line of ikev2_decryption_table."""
    encryption, integrity = _IKE[cipher]
    return f'{spi_i},{spi_r},{sk_ei},{sk_er},"{encryption}",{sk_ai},{sk_ar},"{integrity}"'


def esp_row(cipher, spi, key):
    """A line of esp_sa."""
    gcm = "gcm" in cipher
    encryption, integrity = _ESP_GCM if gcm else _ESP_CBC
    parts = (key, "") if gcm else (key[:-_INTEGRITY], key[-_INTEGRITY:])
    keys = [f"0x{part}" if part else "" for part in parts]
    fields = "IPv4", "*", "*", f"0x{spi}", encryption, keys[0], integrity, keys[1]
    return ",".join(f'"{field}"' for field in fields)


def configure(folder, rows):
    """Fill a folder that WIRESHARK_CONFIG_DIR is to name; whoever has it can read what the keys protected."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    ike = [ike_row(cipher, *octets[:6]) for cipher, _, octets in rows]
    esp = [esp_row(cipher, octets[6 + i], octets[8 + i]) for _, cipher, octets in rows for i in (0, 1)]
    files = {"ikev2_decryption_table": ike, "esp_sa": esp, "preferences": _PREFERENCES}
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
