// wanqueue holds every packet of an NFQUEUE for a while and lets it go in order: a slow link for kernels without
// sch_netem. Usage: wanqueue QUEUE DELAY_MS. It runs in a router's network namespace; only packet ids are copied here.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// From linux/netfilter/nfnetlink_queue.h and nfnetlink.h.
const (
	netlinkNetfilter  = 12
	subsystemQueue    = 3
	messagePacket     = 0
	messageVerdict    = 1
	messageConfig     = 2
	attrConfigCommand = 1
	attrConfigParams  = 2
	attrConfigLength  = 3
	attrPacketHeader  = 1
	attrVerdict       = 2
	commandBind       = 1
	copyMetadata      = 1
	verdictAccept     = 1
	queueLength       = 100000
	solNetlink        = 270
	noENOBUFS         = 5
)

type heldPacket struct {
	id      [4]byte
	release time.Time
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: wanqueue QUEUE DELAY_MS", nil)
	}
	queue, err := strconv.ParseUint(os.Args[1], 10, 16)
	if err != nil {
		fail("queue", err)
	}
	delayMs, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		fail("delay", err)
	}
	link, err := open(uint16(queue))
	if err != nil {
		fail("netlink", err)
	}
	held := make(chan heldPacket, queueLength)
	go link.release(held)
	fmt.Println("ready")
	link.hold(held, time.Duration(delayMs*float64(time.Millisecond)))
}

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, "wanqueue:", what, err)
	os.Exit(1)
}

type queueLink struct {
	socket int
	queue  uint16
}

func open(queue uint16) (*queueLink, error) {
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, netlinkNetfilter)
	if err != nil {
		return nil, err
	}
	if err := syscall.Bind(socket, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, err
	}
	// A burst must wait in the socket, not be answered with ENOBUFS. RCVBUFFORCE ignores the system's limit.
	_ = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 8<<20)
	_ = syscall.SetsockoptInt(socket, solNetlink, noENOBUFS, 1)
	link := &queueLink{socket: socket, queue: queue}
	bind := attribute(attrConfigCommand, []byte{commandBind, 0, 0, syscall.AF_INET})
	params := attribute(attrConfigParams, []byte{0, 0, 0, 0, copyMetadata})
	length := attribute(attrConfigLength, binary.BigEndian.AppendUint32(nil, queueLength))
	if err := link.send(messageConfig, bind); err != nil {
		return nil, err
	}
	return link, link.send(messageConfig, append(params, length...))
}

// hold reads packet messages for ever. All wait equally long, so the order of arrival is the order of release.
func (l *queueLink) hold(held chan<- heldPacket, delay time.Duration) {
	buffer := make([]byte, 1<<17)
	for {
		n, _, err := syscall.Recvfrom(l.socket, buffer, 0)
		if err == syscall.EINTR || err == syscall.ENOBUFS {
			continue
		}
		if err != nil {
			fail("receive", err)
		}
		release := time.Now().Add(delay)
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			fail("message", err)
		}
		for _, message := range messages {
			if message.Header.Type == syscall.NLMSG_ERROR && len(message.Data) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(message.Data)); code != 0 {
					fail("kernel refuses", syscall.Errno(-code))
				}
			}
			if id, ok := packetID(message); ok {
				held <- heldPacket{id: id, release: release}
			}
		}
	}
}

func (l *queueLink) release(held <-chan heldPacket) {
	for packet := range held {
		time.Sleep(time.Until(packet.release))
		body := binary.BigEndian.AppendUint32(nil, verdictAccept)
		if err := l.send(messageVerdict, attribute(attrVerdict, append(body, packet.id[:]...))); err != nil {
			fail("verdict", err)
		}
	}
}

// packetID finds the packet header attribute; its first four bytes, big endian, are the id.
func packetID(message syscall.NetlinkMessage) (id [4]byte, ok bool) {
	if message.Header.Type != subsystemQueue<<8|messagePacket || len(message.Data) < 4 {
		return id, false
	}
	for data := message.Data[4:]; len(data) >= 4; {
		size := int(binary.NativeEndian.Uint16(data))
		if size < 4 || size > len(data) {
			return id, false
		}
		if binary.NativeEndian.Uint16(data[2:])&0x3fff == attrPacketHeader && size >= 8 {
			copy(id[:], data[4:8])
			return id, true
		}
		data = data[min((size+3)&^3, len(data)):]
	}
	return id, false
}

func (l *queueLink) send(kind uint16, body []byte) error {
	message := binary.NativeEndian.AppendUint32(nil, uint32(20+len(body)))
	message = binary.NativeEndian.AppendUint16(message, subsystemQueue<<8|kind)
	message = binary.NativeEndian.AppendUint16(message, syscall.NLM_F_REQUEST)
	message = append(message, 0, 0, 0, 0, 0, 0, 0, 0, syscall.AF_UNSPEC, 0)
	message = binary.BigEndian.AppendUint16(message, l.queue)
	return syscall.Sendto(l.socket, append(message, body...), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
}

func attribute(kind uint16, value []byte) []byte {
	data := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	data = binary.NativeEndian.AppendUint16(data, kind)
	data = append(data, value...)
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	return data
}
