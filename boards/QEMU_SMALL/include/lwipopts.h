// lwIP of QEMU_MPS2, whose heap is the pool that everything shares: pbufs and PCBs come out of it, as on the ESP32.
#include "../../QEMU_MPS2/include/lwipopts.h"

#undef MEM_SIZE
#undef LWIP_STATS
// Free on a stock ESP32 (MicroPython 1.26.1, no PSRAM) after boot, beside the 56 KB that the GC heap begins with.
#define MEM_SIZE 143900
#define MEMP_MEM_MALLOC 1
// As in ESP-IDF.
#define IP_REASSEMBLY 0
#define LWIP_STATS 1
#define MEM_STATS 1
#define LINK_STATS 0
#define ETHARP_STATS 0
#define IP_STATS 0
#define IPFRAG_STATS 0
#define ICMP_STATS 0
#define IGMP_STATS 0
#define UDP_STATS 0
#define TCP_STATS 0
#define SYS_STATS 0
