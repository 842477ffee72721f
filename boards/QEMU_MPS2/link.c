// The network: SLIP on UART1 under lwIP. C, because lwIP wants its serial driver and its interface in C;
// MicroPython's own lwip.slip() brings the interface up without a link, over which lwIP 2.2 sends nothing.

#include "py/runtime.h"
#include "py/mperrno.h"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/raw.h"
#include "lwip/sio.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"
#include "netif/slipif.h"

#define UART1_DATA (*(volatile uint32_t *)0x40005000)
#define UART1_STATE (*(volatile uint32_t *)0x40005004)
#define UART1_CTRL (*(volatile uint32_t *)0x40005008)
#define UART1_BAUDDIV (*(volatile uint32_t *)0x40005010)

int mp_mod_network_prefer_dns_use_ip_version = 4;

static struct netif slip;
static bool initialised;

sio_fd_t sio_open(u8_t number) {
    UART1_BAUDDIV = 16;
    UART1_CTRL = 3;
    if (!(UART1_STATE & 2)) { // see start.c: QEMU looks for what came before
        (void)UART1_DATA;
    }
    return &slip;
}

void sio_send(u8_t octet, sio_fd_t fd) {
    while (UART1_STATE & 1) {
    }
    UART1_DATA = octet;
}

// A socket of MicroPython's has room for one datagram, and what comes meanwhile would be lost, on a busy machine more of
// it than here. So the UART is left alone until the last one has been read; a program that looks so many times without
// reading it has to lose the next.
#define PATIENCE 20000
static struct pbuf *unread;
static unsigned looks;
static udp_recv_fn udp_socket;
static raw_recv_fn raw_socket;

static void delivered(struct pbuf *p) {
    if (p->ref == 1 || unread) {
        pbuf_free(p);
    } else {
        unread = p;
        looks = 0;
    }
}

static bool waits(void) {
    if (unread && (unread->ref == 1 || ++looks > PATIENCE)) {
        pbuf_free(unread);
        unread = NULL;
    }
    return unread != NULL;
}

static void udp_incoming(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port) {
    pbuf_ref(p);
    udp_socket(arg, pcb, p, from, port);
    delivered(p);
}

void __real_udp_recv(struct udp_pcb *pcb, udp_recv_fn recv, void *arg);
void __wrap_udp_recv(struct udp_pcb *pcb, udp_recv_fn recv, void *arg) {
    if (arg) { // lwIP's own have none
        udp_socket = recv;
        recv = udp_incoming;
    }
    __real_udp_recv(pcb, recv, arg);
}

static u8_t raw_incoming(void *arg, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *from) {
    pbuf_ref(p);
    u8_t eaten = raw_socket(arg, pcb, p, from);
    delivered(p);
    return eaten;
}

void __real_raw_recv(struct raw_pcb *pcb, raw_recv_fn recv, void *arg);
void __wrap_raw_recv(struct raw_pcb *pcb, raw_recv_fn recv, void *arg) {
    if (arg) {
        raw_socket = recv;
        recv = raw_incoming;
    }
    __real_raw_recv(pcb, recv, arg);
}

u32_t sio_tryread(sio_fd_t fd, u8_t *octets, u32_t size) {
    u32_t count = 0;
    if (waits()) {
        return 0;
    }
    while (count < size && (UART1_STATE & 2)) {
        octets[count++] = UART1_DATA;
    }
    return count;
}

void link_poll(void) {
    if (netif_is_up(&slip)) {
        slipif_poll(&slip);
        sys_check_timeouts();
    }
}

static ip4_addr_t address(mp_obj_t text) {
    ip4_addr_t address;
    if (!ip4addr_aton(mp_obj_str_get_str(text), &address)) {
        mp_raise_ValueError(MP_ERROR_TEXT("no IPv4 address"));
    }
    return address;
}

// up(own, peer): the link with these two addresses; a second call changes them.
static mp_obj_t link_up(mp_obj_t own, mp_obj_t peer) {
    ip4_addr_t here = address(own), mask = {0}, there = address(peer);
    if (!initialised) {
        lwip_init();
        initialised = netif_add(&slip, &here, &mask, &there, NULL, slipif_init, ip_input) != NULL;
        if (!initialised) {
            mp_raise_OSError(MP_ENOMEM);
        }
    }
    netif_set_addr(&slip, &here, &mask, &there);
    netif_set_default(&slip);
    netif_set_up(&slip);
    netif_set_link_up(&slip);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(link_up_obj, link_up);

// down(): nothing is sent or received until up().
static mp_obj_t link_down(void) {
    if (initialised) {
        netif_set_link_down(&slip);
        netif_set_down(&slip);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(link_down_obj, link_down);

static const mp_rom_map_elem_t link_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_link) },
    { MP_ROM_QSTR(MP_QSTR_up), MP_ROM_PTR(&link_up_obj) },
    { MP_ROM_QSTR(MP_QSTR_down), MP_ROM_PTR(&link_down_obj) },
};
static MP_DEFINE_CONST_DICT(link_globals, link_globals_table);

const mp_obj_module_t link_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&link_globals,
};
MP_REGISTER_MODULE(MP_QSTR_link, link_module);
