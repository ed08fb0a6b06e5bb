package rules

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// maxIntermediates bounds the X.509 certificates beside the leaf, and maxChainBytes
	// all of them.
	maxIntermediates = 100
	maxChainBytes    = 64 << 10
	// maxProofBytes bounds a signature, and the name of an entity of OpenBao.
	maxProofBytes = 4 << 10
	// What clients take of RSA keys, in bits.
	minRSABits, maxRSABits = 2048, 8192
)

// Identity is who a payload of an enrollment is signed by, as received
// (docs/protocol/v5/enrollment.md §1.2).
type Identity struct {
	// Signature is text for OpenBao.
	Signature []byte
	// Chain has X.509 certificates in DER, the leaf first; nil for OpenBao.
	Chain [][]byte
	// Entity is that of OpenBao.
	Entity string
}

func (i *Identity) isPKI() bool { return i.Chain != nil }

func identityOfSubmitter(signature *protocol.SubmitSignature) Identity {
	if signature.Kind == protocol.SignedByPKI {
		return Identity{Signature: signature.Signature, Chain: slices.Concat([][]byte{signature.Leaf}, signature.Intermediates)}
	}
	return Identity{Signature: []byte(signature.OpenBaoSignature), Entity: signature.EntityID}
}

func identityOfAccepter(signature *protocol.AcceptSignature) Identity {
	if signature.Kind == protocol.SignedByPKI {
		return Identity{Signature: signature.Signature, Chain: slices.Concat([][]byte{signature.Leaf}, signature.Intermediates)}
	}
	return Identity{Signature: []byte(signature.OpenBaoSignature), Entity: signature.EntityID}
}

func (i *Identity) ofSubmitter() protocol.SubmitSignature {
	if i.isPKI() {
		return protocol.SubmitSignature{Kind: protocol.SignedByPKI, Signature: i.Signature, Leaf: i.Chain[0], Intermediates: i.Chain[1:]}
	}
	return protocol.SubmitSignature{Kind: protocol.SignedByOpenBao, OpenBaoSignature: string(i.Signature), EntityID: i.Entity}
}

func (i *Identity) ofAccepter() *protocol.AcceptSignature {
	if i.isPKI() {
		return &protocol.AcceptSignature{Kind: protocol.SignedByPKI, Signature: i.Signature, Leaf: i.Chain[0], Intermediates: i.Chain[1:]}
	}
	return &protocol.AcceptSignature{Kind: protocol.SignedByOpenBao, OpenBaoSignature: string(i.Signature), EntityID: i.Entity}
}

// checkIdentity checks what the server can of who signed a payload: nothing of OpenBao
// but its length, and of a PKI the form of the chain. If it knows whom to trust, the
// chain leads to one of those roots, which are returned, with certificates that are
// valid at a date and for clients, and the leaf has signed; else badSignature.
func (r *Rules) checkIdentity(of *Identity, payload []byte, at parsec.DateTime, badSignature protocol.Status) (roots []*x509.Certificate, err error) {
	if !of.isPKI() {
		if len(of.Signature) > maxProofBytes || len(of.Entity) > maxProofBytes || strings.ContainsRune(of.Entity, 0) {
			return nil, protocol.Refuse(badSignature)
		}
		return nil, nil
	}
	if err := checkChain(of.Chain); err != nil {
		return nil, err
	}
	if len(of.Signature) > maxProofBytes {
		return nil, protocol.Refuse(badSignature)
	}
	if r.options.TrustedRoots == nil {
		return nil, nil
	}
	chain, err := parseChain(of.Chain)
	if err != nil || slices.ContainsFunc(chain, hasHugeKey) {
		return nil, protocol.Refuse(protocol.StatusInvalidX509Trustchain)
	}
	if roots, err = trustedRoots(chain, r.options.TrustedRoots, at); err != nil {
		return nil, err
	}
	if !hasSigned(chain[0], payload, of.Signature) {
		return nil, protocol.Refuse(badSignature)
	}
	return roots, nil
}

// checkChain wants certificates of which each but the first is needed on the way from
// that one upwards (docs/protocol/v5/enrollment.md §1.2).
func checkChain(der [][]byte) error {
	badChain := protocol.Refuse(protocol.StatusInvalidX509Trustchain)
	size := 0
	for _, one := range der {
		size += len(one)
	}
	if size > maxChainBytes { // before anything is read of it
		return badChain
	}
	chain := make([]link, len(der))
	for i, one := range der {
		read, valid := readLink(one)
		if !valid {
			return protocol.Refuse(protocol.StatusInvalidDERX509Certificate)
		}
		chain[i] = read
	}
	if len(chain) > 1+maxIntermediates {
		return badChain
	}
	unused := slices.Clone(chain[1:])
	for current := chain[0]; len(unused) > 0; {
		next := slices.IndexFunc(unused, func(l link) bool { return bytes.Equal(l.subject, current.issuer) })
		if next < 0 {
			return badChain
		}
		current = unused[next]
		unused = slices.Delete(unused, next, next+1)
	}
	return nil
}

// link is what a chain holds together by: two names of a certificate, in DER.
type link struct{ subject, issuer cryptobyte.String }

// readLink reads a certificate of X.509, false for what has not the form of one. It does
// not look into its key and extensions: clients judge these, and take some that
// x509.ParseCertificate does not read.
func readLink(der []byte) (read link, valid bool) {
	var whole, content cryptobyte.String
	var signature []byte
	input := cryptobyte.String(der)
	valid = input.ReadASN1(&whole, asn1.SEQUENCE) && input.Empty() &&
		whole.ReadASN1(&content, asn1.SEQUENCE) && whole.SkipASN1(asn1.SEQUENCE) && whole.ReadASN1BitStringAsBytes(&signature) && whole.Empty() &&
		content.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) && content.SkipASN1(asn1.INTEGER) && content.SkipASN1(asn1.SEQUENCE) &&
		content.ReadASN1Element(&read.issuer, asn1.SEQUENCE) && content.SkipASN1(asn1.SEQUENCE) &&
		content.ReadASN1Element(&read.subject, asn1.SEQUENCE) && content.SkipASN1(asn1.SEQUENCE)
	for valid && !content.Empty() {
		valid = content.ReadAnyASN1(new(cryptobyte.String), new(asn1.Tag))
	}
	return read, valid
}

// parseChain reads the certificates of a chain whole.
func parseChain(der [][]byte) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(der))
	for i, one := range der {
		parsed, err := x509.ParseCertificate(one)
		if err != nil {
			return nil, err
		}
		chain[i] = parsed
	}
	return chain, nil
}

// trustedRoots returns those that a chain leads to.
func trustedRoots(chain []*x509.Certificate, trusted *x509.CertPool, at parsec.DateTime) (roots []*x509.Certificate, err error) {
	intermediates := x509.NewCertPool()
	for _, intermediate := range chain[1:] {
		intermediates.AddCert(intermediate)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{
		Roots: trusted, Intermediates: intermediates, CurrentTime: at.Time(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, protocol.Refuse(protocol.StatusInvalidX509Trustchain)
	}
	for _, path := range paths {
		roots = append(roots, path[len(path)-1])
	}
	return roots, nil
}

// hasHugeKey reports whether to verify what the key of a certificate has signed takes
// long.
func hasHugeKey(c *x509.Certificate) bool {
	key, isRSA := c.PublicKey.(*rsa.PublicKey)
	return isRSA && key.N.BitLen() > maxRSABits
}

// hasSigned reports whether a payload is signed by the key of a certificate, by
// RSASSA-PSS with SHA-256 and a salt of any length.
func hasSigned(by *x509.Certificate, payload, signature []byte) bool {
	key, isRSA := by.PublicKey.(*rsa.PublicKey)
	if !isRSA || key.N.BitLen() < minRSABits || key.N.BitLen() > maxRSABits {
		return false
	}
	digest := sha256.Sum256(payload)
	return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil
}
