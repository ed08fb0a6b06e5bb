package parsec3

import (
	"context"
	"io"

	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// getCertificates has the certificates read while they are sent where they are too
// many to be held at once.
func getCertificates(r *rules.Rules) func(context.Context, *rules.Author, *protocol.CertificateGetRequest) (any, error) {
	return func(ctx context.Context, author *rules.Author, request *protocol.CertificateGetRequest) (any, error) {
		reply, certificates, err := r.CertificateGet(ctx, author, request)
		switch {
		case err != nil:
			return nil, err
		case certificates == nil:
			return reply, nil
		}
		parts, err := partsOf(certificates)
		if err != nil {
			return nil, err
		}
		long := &server.LongReply{Write: func(ctx context.Context, to io.Writer) error {
			return writeParts(ctx, to, certificates, parts)
		}}
		for _, p := range parts {
			long.Length += int64(len(p.head)) + encodedLength(p.list)
		}
		return long, nil
	}
}

// part is a list in a reply, after the bytes that come before it.
type part struct {
	head []byte
	list *rules.CertificateList
}

// partsOf returns the parts of the reply that a protocol.CertificateGetReply with
// all certificates would be.
func partsOf(certificates *rules.LongCertificates) (parts []part, err error) {
	head, err := wire.Microseconds.AppendMap(nil, []wire.Field{server.StatusOK}, nil)
	if err != nil {
		return nil, err
	}
	head = append(wire.AppendMapHead(nil, 5), head[1:]...)
	add := func(key any, list *rules.CertificateList) {
		if err == nil {
			head, err = wire.Microseconds.Append(head, key)
			parts = append(parts, part{wire.AppendArrayHead(head, list.Count), list})
			head = nil
		}
	}
	add("common_certificates", &certificates.Common)
	add("sequester_certificates", &certificates.Sequester)
	add("shamir_recovery_certificates", &certificates.Shamir)
	if err == nil {
		head, err = wire.Microseconds.Append(nil, "realm_certificates")
	}
	head = wire.AppendMapHead(head, len(certificates.Realms))
	for i := range certificates.Realms {
		add(certificates.Realms[i].Realm, &certificates.Realms[i])
	}
	return append(parts, part{head, &rules.CertificateList{}}), err
}

// encodedLength returns the length of the certificates of a list in a reply. The
// head of each has 2 bytes, or 3, or 5.
func encodedLength(list *rules.CertificateList) int64 {
	return int64(list.Bytes + 2*list.Count + list.Over8 + 2*list.Over16)
}

// writtenAtOnce is about how many bytes of a long reply are encoded before they are
// written.
const writtenAtOnce = 64 << 10

func writeParts(ctx context.Context, to io.Writer, certificates *rules.LongCertificates, parts []part) error {
	buffer := make([]byte, 0, 2*writtenAtOnce)
	for _, p := range parts {
		buffer = append(buffer, p.head...)
		for certificate, err := range certificates.Each(ctx, p.list) {
			if err != nil {
				return err
			}
			if buffer, err = wire.Microseconds.Append(buffer, certificate); err != nil {
				return err
			}
			if len(buffer) < writtenAtOnce {
				continue
			}
			if _, err := to.Write(buffer); err != nil {
				return err
			}
			buffer = buffer[:0]
		}
	}
	_, err := to.Write(buffer)
	return err
}
