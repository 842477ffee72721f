from typing import TypedDict

FILE: str

class Config(TypedDict):
    """What a device's file says, the defaults where it says nothing: firmware/README.md has every key."""

    ssid: str
    password: str
    power_save: bool
    address: str
    peer: str
    gateway: str
    id: str
    psk: str
    ppk: str
    ppk_id: str
    gateway_id: str
    inside: str
    remote: list[str]
    groups: list[int]
    ciphers: list[str]
    liveness_s: int
    keepalive_s: int
    lifetime_s: int
    keep_keys: bool
    accept: dict[str, str]
    pool: str
    dns: list[str]
    connections: int
    stream_buffer: int
    ports: list[int]
    raw: list[int]
    ike_sas: int
    child_sas: int
    answers_per_s: int
    burst: int
    per_source_ms: int
    sources: int
    hint_ms: int
    log: bool
    led: int
    watchdog_s: int

class ConfigError(ValueError): ...
class WeakPsk(ConfigError): ...

def parse(octets: bytes, file: str = "ikev2.json", weak_psk: bool = True) -> Config: ...
def read(path: str = "ikev2.json") -> Config: ...
