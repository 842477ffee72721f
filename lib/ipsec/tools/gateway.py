"""The other end of a device's configuration: what to paste into its gateway, made from the same ikev2.json.

strongswan: a swanctl.conf. libreswan: ipsec.conf and ipsec.secrets. opnsense: what to enter on which page. mikrotik:
commands for its terminal. Tests load the first two into the daemons and bring tunnels up with them.

Ids and psk arrive as they are: quoted as each format wants it, or refused with the reason. A device that keeps its keys
through sleep answers nothing meanwhile, so that its gateway must neither ask nor renew before the device does.
"""

import base64
import ipaddress
import re
import secrets

from . import Refused

_WHY_NO_DPD = "The device sleeps with its keys and answers nothing meanwhile: no DPD, no renewal before its own."
_DAY_S = 86400
POOL = "10.9.0.0/24"  # addresses for devices that ask for one
_GROUPS = {31: ("x25519", "dh31", "x25519"), 14: ("modp2048", "dh14", "modp2048")}
_SWAN = {
    "aes-cbc-256": "aes256",
    "aes-cbc-128": "aes128",
    "aes-gcm-16-256": "aes256gcm16",
    "aes-gcm-16-128": "aes128gcm16",
}
_LIBRE = {
    "aes-cbc-256": "aes256",
    "aes-cbc-128": "aes128",
    "aes-gcm-16-256": "aes_gcm256",
    "aes-gcm-16-128": "aes_gcm128",
}
_PLAIN = re.compile(r"[A-Za-z0-9 ,.:;_+*/!?=@%&()<>^~|-]+")  # of a psk that every file format takes between quotes
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]*")  # of an id that none of them needs quotes for
# How each writes an ID of type 1, 2, 3 and 11 (RFC 7296 3.5).
_SWAN_IDS = {1: "%s", 2: "fqdn:%s", 3: "email:%s", 11: "keyid:%s"}
_LIBRE_IDS = {1: "%s", 2: "@%s", 3: "%s", 11: "@[%s]"}
_MIKROTIK_IDS = {1: "address:%s", 2: "fqdn:%s", 3: "user-fqdn:%s", 11: "key-id:%s"}


def identity(text):
    """(ID type, text without its prefix) of an id as ikev2.json has it (N18)."""
    if text.startswith("keyid:"):
        return 11, text[6:]
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return (3 if "@" in text else 2), text
    return 1, text


class Facts:
    """What the gateway has to know, from a device's configuration."""

    def __init__(self, config, pool=POOL):
        for key in ("gateway", "id", "psk"):
            if not config[key]:
                raise Refused(f'"{key}" is missing: {_EXAMPLE[key]}')
        self.id = config["id"]
        self.gateway = config["gateway"]
        self.gateway_id = config["gateway_id"] or config["gateway"]
        self.psk = config["psk"]
        self.ppk, self.ppk_id = config["ppk"], config["ppk_id"]
        self.inside = config["inside"]
        # Until the gateway may renew an SA: after the device, which does when it is awake.
        self.renewal_s = 2 * config["lifetime_s"] if config["keep_keys"] else 0
        self.remote = config["remote"]
        self.groups = config["groups"]
        self.ciphers = config["ciphers"]
        self.pool = ipaddress.ip_network(pool)
        self.name = re.sub("[^a-zA-Z0-9]+", "-", identity(self.id)[1]).strip("-") or "device"

    def suites(self):
        """The ciphers by kind, those of CBC and of GCM, without empty kinds: they are never in one proposal (N22)."""
        kinds = [[name for name in self.ciphers if ("gcm" in name) is gcm] for gcm in (False, True)]
        return [kind for kind in kinds if kind]


_EXAMPLE = {
    "gateway": '"gateway": "vpn.example.org", a name or an address',
    "id": '"id": "sensor-7", what the gateway is to know this device by',
    "psk": f'"psk": "{secrets.token_urlsafe(16)}", say, which was just made for you',
}


def swan_proposals(facts, esp):
    """The device's offer in strongSwan's words."""
    groups = "" if esp else "".join("-" + _GROUPS[group][0] for group in facts.groups)
    return ", ".join(
        "-".join(_SWAN[name] for name in kind)
        + ("-sha256" if "cbc" in kind[0] else "" if esp else "-prfsha256")
        + groups
        for kind in facts.suites()
    )


def _secret(psk):
    """A psk between quotes, or in base64 where quotes are not enough."""
    if _PLAIN.fullmatch(psk) and not psk.startswith(("0x", "0s")):
        return f'"{psk}"'
    return "0s" + base64.b64encode(psk.encode()).decode()


def _refused(gateway, text, why):
    return Refused(f"{gateway} cannot have the id {text!r}: {why}")


def _plain_id(gateway, ids, text):
    """An id for a gateway whose configuration is typed: where no quotes are certain, none must be needed."""
    kind, name = identity(text)
    if not _PLAIN_ID.fullmatch(name):
        raise _refused(gateway, text, "letters, digits and any of . _ - @ behind one are certain to arrive there")
    return ids[kind] % name


def _swan_id(text):
    kind, name = identity(text)
    if kind in (2, 3) and "*" in name:
        raise _refused("strongSwan", text, "it takes * for any name")
    if _PLAIN_ID.fullmatch(name):
        return _SWAN_IDS[kind] % name
    return '"' + _SWAN_IDS[kind] % ("#" + name.encode().hex()) + '"'


def _libre_id(text):
    kind, name = identity(text)
    if _PLAIN_ID.fullmatch(name):
        return _LIBRE_IDS[kind] % name
    if kind == 11:
        return "@#" + name.encode().hex()
    raise _refused("libreswan", text, "of names it takes letters, digits and . _ - @; keyid:… may hold anything")


def _ppk_id(gateway, text):
    """A PPK_ID as daemons take it: an address, a wildcard or what needs quotes would be another one there."""
    if not _PLAIN_ID.fullmatch(text) or identity(text)[0] == 1:
        raise Refused(
            f"{gateway} cannot have the ppk_id {text!r}: letters, digits and any of . _ - @ behind one, and no "
            "address, are certain to arrive there"
        )
    return text


def _without_ppk(gateway, facts):
    if facts.ppk:
        raise Refused(f'{gateway} has no PPK (RFC 8784): leave "ppk" and "ppk_id" out, or take strongswan or libreswan')


def _typed_psk(gateway, psk):
    if not psk.isprintable():
        raise Refused(
            f"{gateway}: a psk that is typed in has no control characters; python -m ipsec psk prints a good one"
        )
    return psk


def swanctl(facts):
    """swanctl.conf as nested dictionaries."""
    child = {
        "local_ts": ", ".join(facts.remote),
        "remote_ts": f"{facts.inside}/32" if facts.inside else "dynamic",
        "esp_proposals": swan_proposals(facts, True),
        **({"rekey_time": f"{facts.renewal_s}s"} if facts.renewal_s else {}),
    }
    connection = {
        "version": "2",
        "proposals": swan_proposals(facts, False),
        "unique": "replace",
        **({"rekey_time": f"{facts.renewal_s}s"} if facts.renewal_s else {"dpd_delay": "300s"}),
        **({} if facts.inside else {"pools": facts.name}),
        **({"ppk_id": _ppk_id("strongSwan", facts.ppk_id), "ppk_required": "yes"} if facts.ppk else {}),
        "local": {"auth": "psk", "id": _swan_id(facts.gateway_id)},
        "remote": {"auth": "psk", "id": _swan_id(facts.id)},
        "children": {facts.name: child},
    }
    secret = {"id": _swan_id(facts.id), "secret": _secret(facts.psk)}
    pools = {} if facts.inside else {"pools": {facts.name: {"addrs": str(facts.pool)}}}
    secrets = {f"ike-{facts.name}": secret}
    if facts.ppk:
        secrets[f"ppk-{facts.name}"] = {"id": facts.ppk_id, "secret": _secret(facts.ppk)}
    return {"connections": {facts.name: connection}, **pools, "secrets": secrets}


def sections(nested, depth=0):
    """Nested dictionaries as strongSwan's files have them."""
    lines = []
    for name, value in nested.items():
        if isinstance(value, dict):
            lines += ["    " * depth + name + " {", *sections(value, depth + 1), "    " * depth + "}"]
        else:
            lines.append("    " * depth + f"{name} = {value}")
    return lines


def strongswan(facts):
    """Lines of swanctl.conf."""
    return [f"# /etc/swanctl/conf.d/{facts.name}.conf on {facts.gateway}; then: swanctl --load-all", *_notes(facts),
            *sections(swanctl(facts))]  # fmt: skip


def _notes(facts):
    notes = [
        "# UDP 500 and 4500 have to reach it. What is behind it is reached if it forwards: net.ipv4.ip_forward = 1."
    ]
    if not facts.inside:
        notes.append(f"# Devices get their inner addresses from {facts.pool}: any range will do that is not in use.")
    if facts.renewal_s:
        notes.append("# " + _WHY_NO_DPD)
    return notes


def libreswan(facts):
    """Lines of ipsec.conf and ipsec.secrets."""
    groups = "+".join(_GROUPS[group][1] for group in facts.groups)
    kinds = [
        ("+".join(_LIBRE[name] for name in kind), "-sha2_256" if "cbc" in kind[0] else "") for kind in facts.suites()
    ]
    left, right = _libre_id(facts.gateway_id), _libre_id(facts.id)
    if facts.renewal_s >= 2 * _DAY_S:
        raise Refused('libreswan keeps no SA for more than a day: with "keep_keys", "lifetime_s" must be less')
    lives = min(facts.renewal_s, _DAY_S)
    values = {
        "ikev2": "insist",
        "authby": "secret",
        "left": facts.gateway if identity(facts.gateway)[0] == 1 else "%defaultroute",
        "leftid": left,
        "leftsubnet": facts.remote[0],
        "right": "%any",
        "rightid": right,
        **(_lease(facts.pool) if not facts.inside else {"rightsubnet": f"{facts.inside}/32"}),
        "narrowing": "yes",
        "ike": ",".join(f"{ciphers}-sha2_256-{groups}" for ciphers, _ in kinds),
        "esp": ",".join(ciphers + integrity for ciphers, integrity in kinds),
        "pfs": "no",
        "esn": "no",
        **({"ppk": "insist"} if facts.ppk else {}),
        **({"rekey": "no", "ikelifetime": f"{lives}s", "salifetime": f"{lives}s"} if lives else {}),
        "auto": "add",
    }
    more = [f"# One network is what libreswan gives to one tunnel; left out: {', '.join(facts.remote[1:])}"]
    return [
        f"# /etc/ipsec.d/{facts.name}.conf on {facts.gateway}; then: ipsec auto --add {facts.name}",
        *_notes(facts), *(more if facts.remote[1:] else []),
        f"conn {facts.name}", *(f"    {name}={value}" for name, value in values.items()), "",
        f"# /etc/ipsec.d/{facts.name}.secrets, the companion of ipsec.secrets; then: ipsec secrets",
        f"{left} {right} : PSK {_secret(facts.psk)}",
        *([f'{left} {right} : PPKS "{_ppk_id("libreswan", facts.ppk_id)}" {_secret(facts.ppk)}'] if facts.ppk else []),
    ]  # fmt: skip


def _lease(pool):
    hosts = list(pool.hosts())
    return {"rightaddresspool": f"{hosts[0]}-{hosts[-1]}", "leftmodecfgserver": "yes", "rightmodecfgclient": "yes"}


def opnsense(facts):
    """What to enter, page by page."""
    _without_ppk("OPNsense", facts)
    kinds = [
        "-".join([_SWAN[name], *(["sha256"] if "cbc" in name else []), *group])
        for name in facts.ciphers for group in [[_GROUPS[number][0]] for number in facts.groups]
    ]  # fmt: skip
    esp = ["-".join([_SWAN[name], *(["sha256"] if "cbc" in name else [])]) for name in facts.ciphers]
    pages = {
        "VPN > IPsec > Pre-Shared Keys > +": {
            "Local Identifier": _plain_id("OPNsense", _SWAN_IDS, facts.gateway_id),
            "Remote Identifier": _plain_id("OPNsense", _SWAN_IDS, facts.id), "Type": "PSK",
            "Pre-Shared Key": _typed_psk("OPNsense", facts.psk),
        },
        "VPN > IPsec > Connections > Pools > +": {} if facts.inside else {"Name": facts.name, "Network": facts.pool},
        "VPN > IPsec > Connections > +": {
            "Proposals": ", ".join(kinds), "Version": "IKEv2", "Remote addresses": "(empty: any)",
            **({"DPD delay (s)": "(empty: none)", "Rekey time (s)": facts.renewal_s} if facts.renewal_s
               else {"DPD delay (s)": "300"}),
            **({} if facts.inside else {"Pools": facts.name}), "Description": facts.name,
        },
        "... Local Authentication > +": {
            "Round": "0", "Authentication": "Pre-Shared Key", "Id": _plain_id("OPNsense", _SWAN_IDS, facts.gateway_id),
        },
        "... Remote Authentication > +": {
            "Round": "0", "Authentication": "Pre-Shared Key", "Id": _plain_id("OPNsense", _SWAN_IDS, facts.id),
        },
        "... Children > +": {
            "Mode": "Tunnel", "Start action": "None", "ESP proposals": ", ".join(esp), "Local": ", ".join(facts.remote),
            "Remote": f"{facts.inside}/32" if facts.inside else "(empty: dynamic)",
            **({"Rekey time (s)": facts.renewal_s} if facts.renewal_s else {}),
        },
        "Firewall > Rules > WAN": {"Pass": "UDP to ports 500 and 4500 of this firewall"},
        "Firewall > Rules > IPsec": {"Pass": f"from {facts.inside or facts.pool} to what the devices may reach"},
    }  # fmt: skip
    lines = ["OPNsense 23.1 or newer. What is not named here stays as it is."]
    if facts.renewal_s:
        lines.append(_WHY_NO_DPD)
    for page, fields in pages.items():
        if fields:
            lines += ["", page, *(f"    {name + ':':20} {value}" for name, value in fields.items())]
    return [*lines, "", "Save, tick Enable IPsec, Apply."]


def _router_octets(letter):
    """A character as RouterOS has octets between quotes."""
    return "".join(f"\\{octet:02X}" for octet in letter.encode())


def mikrotik(facts):
    """Commands for RouterOS."""
    _without_ppk("MikroTik", facts)
    if 14 not in facts.groups:
        raise Refused('MikroTik has no group 31; put 14 into "groups": [31, 14]')
    kinds = [name for name in facts.ciphers if "cbc" in name]
    if not kinds:
        raise Refused('MikroTik has no AES-GCM for IKE; put "aes-cbc-256" into "ciphers"')
    name, remote = facts.name, ",".join(facts.remote)
    secret = "".join(
        letter if _PLAIN.fullmatch(letter) and letter != "?" else _router_octets(letter) for letter in facts.psk
    )
    lifetime = f"{facts.renewal_s}s" if facts.renewal_s else "1h"
    hosts = list(facts.pool.hosts())
    lease = [] if facts.inside else [
        f"/ip pool add name={name} ranges={hosts[0]}-{hosts[-1]}",
        f"/ip ipsec mode-config add name={name} responder=yes address-pool={name} address-prefix-length=32"
        f" split-include={remote} system-dns=no",
    ]  # fmt: skip
    return [
        f"# RouterOS 7, on {facts.gateway}: paste into its terminal.",
        *(["# " + _WHY_NO_DPD] if facts.renewal_s else []),
        *lease,
        f"/ip ipsec profile add name={name} hash-algorithm=sha256 prf-algorithm=sha256 dh-group=modp2048"
        f" enc-algorithm={','.join('aes-' + kind[-3:] for kind in kinds)} nat-traversal=yes"
        + (f" dpd-interval=disable-dpd lifetime={lifetime}" if facts.renewal_s else ""),
        f"/ip ipsec proposal add name={name} auth-algorithms=sha256 pfs-group=none lifetime={lifetime}"
        f" enc-algorithms={','.join('aes-' + kind[-3:] + '-cbc' for kind in kinds)}",
        f"/ip ipsec policy group add name={name}",
        *(
            f"/ip ipsec policy add template=yes group={name} proposal={name} src-address={network}"
            f" dst-address={facts.inside + '/32' if facts.inside else facts.pool}"
            for network in facts.remote
        ),
        f"/ip ipsec peer add name={name} exchange-mode=ike2 passive=yes send-initial-contact=no profile={name}"
        " address=0.0.0.0/0",
        f"/ip ipsec identity add peer={name} auth-method=pre-shared-key generate-policy=port-strict"
        f" policy-template-group={name} my-id={_plain_id('MikroTik', _MIKROTIK_IDS, facts.gateway_id)}"
        f" remote-id={_plain_id('MikroTik', _MIKROTIK_IDS, facts.id)} match-by=remote-id"
        + ("" if facts.inside else f" mode-config={name}") + f' secret="{secret}"',
        "/ip firewall filter add chain=input protocol=udp dst-port=500,4500 action=accept place-before=0"
        f' comment="{name}"',
    ]  # fmt: skip


GATEWAYS = {"strongswan": strongswan, "libreswan": libreswan, "opnsense": opnsense, "mikrotik": mikrotik}


def lines(config, kind):
    """What to paste into that gateway for a device with that configuration; Refused."""
    return GATEWAYS[kind](Facts(config))
