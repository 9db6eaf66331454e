"""Looks at every IPv4 packet of one device until stdin closes, then prints what it saw as JSON:
`kinds`, packets by protocol and UDP port; `mss`, the MSS values in SYN packets sent to or from a port.

    sniff.py DEVICE PORT
"""

import collections
import json
import select
import socket
import struct
import sys

device, port = sys.argv[1], int(sys.argv[2])
link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
link.bind((device, 0))
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
print("ready", flush=True)
kinds, mss = collections.Counter(), []
while True:
    ready, _, _ = select.select([link, sys.stdin], [], [])
    if sys.stdin in ready:
        break
    packet = link.recv(65535)
    header = (packet[0] & 15) * 4
    protocol = packet[9]
    if struct.unpack("!H", packet[6:8])[0] & 0x1FFF:
        kinds["later fragment"] += 1
    elif protocol == socket.IPPROTO_UDP:
        kinds[f"udp {min(struct.unpack('!HH', packet[header:header + 4]))}"] += 1
    else:
        kinds[{6: "tcp", 1: "icmp"}.get(protocol, str(protocol))] += 1
    if protocol == socket.IPPROTO_TCP:
        tcp = packet[header:]
        source, target = struct.unpack("!HH", tcp[:4])
        if tcp[13] & 2 and port in (source, target):
            options = tcp[20:(tcp[12] >> 4) * 4]
            while options and options[0] != 0:
                if options[0] == 1:
                    options = options[1:]
                    continue
                if options[0] == 2:
                    mss.append(struct.unpack("!H", options[2:4])[0])
                options = options[options[1]:]
print(json.dumps({"kinds": kinds, "mss": mss}))
