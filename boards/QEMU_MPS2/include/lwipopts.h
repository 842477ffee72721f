// lwIP for one point-to-point link: UDP and raw sockets; TCP only because modlwip refers to it.
#include <stdint.h>

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 1
#define SYS_ARCH_DECL_PROTECT(level)
#define SYS_ARCH_PROTECT(level)
#define SYS_ARCH_UNPROTECT(level)
typedef uint32_t sys_prot_t;

#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_IGMP 1
#define LWIP_RAW 1
#define LWIP_DNS 1
#define LWIP_DHCP 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define SO_REUSE 1
#define TCP_LISTEN_BACKLOG 1
#define LWIP_NO_CTYPE_H 1

#define MEM_ALIGNMENT 4
#define MEM_SIZE 16000
#define MEMP_NUM_UDP_PCB 8
#define MEMP_NUM_RAW_PCB 4
#define PBUF_POOL_SIZE 16

uint32_t board_random(void);
#define LWIP_RAND() board_random()
