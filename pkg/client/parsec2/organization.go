package parsec2

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// NewOrganization returns the first device of an organization, an ADMIN's, and
// the request that bootstraps the organization with it. The root key that signs both is
// forgotten, as by official clients: nothing else is ever signed with it. now
// is the date of the certificates.
func NewOrganization(address parsec.BootstrapAddress, founder Person, now parsec.DateTime) (*Device, *protocol.OrganizationBootstrapRequest, error) {
	rootKey := newSigningKey()
	rootVerifyKey := parsec.VerifyKey(rootKey.Public().(ed25519.PublicKey))
	device, err := newUser(address.Organization(), rootVerifyKey, founder, parsec.ProfileAdmin)
	if err != nil {
		return nil, nil, err
	}
	certificates, err := device.certify(parsec.DeviceID{}, rootKey, now)
	if err != nil {
		return nil, nil, err
	}
	return device, &protocol.OrganizationBootstrapRequest{
		BootstrapToken:            address.Token(),
		RootVerifyKey:             rootVerifyKey,
		UserCertificate:           certificates.UserCertificate,
		DeviceCertificate:         certificates.DeviceCertificate,
		RedactedUserCertificate:   certificates.RedactedUserCertificate,
		RedactedDeviceCertificate: certificates.RedactedDeviceCertificate,
	}, nil
}

// OrganizationBootstrapV1 returns the form of API 1 with redacted certificates,
// as clients since 1.14 send it. Earlier ones send the other two only, without
// human handle and label.
func OrganizationBootstrapV1(request *protocol.OrganizationBootstrapRequest) *protocol.OrganizationBootstrapV1Request {
	return &protocol.OrganizationBootstrapV1Request{
		BootstrapToken:            request.BootstrapToken,
		RootVerifyKey:             request.RootVerifyKey,
		UserCertificate:           request.UserCertificate,
		DeviceCertificate:         request.DeviceCertificate,
		RedactedUserCertificate:   request.RedactedUserCertificate,
		RedactedDeviceCertificate: request.RedactedDeviceCertificate,
	}
}

// Bootstrap sends request for organization over HTTP and, where the server
// knows no such way, over the anonymous WebSocket of API 1, as clients since
// 2.9 do (docs/protocol/administration.md §3). An organization that the server
// does not know is a *HandshakeError.
func (c *Client) Bootstrap(ctx context.Context, organization parsec.OrganizationID, request *protocol.OrganizationBootstrapRequest) error {
	latest := latestVersions[len(latestVersions)-1]
	_, err := Call(ctx, c.AnonymousRPC(organization, latest), protocol.OrganizationBootstrap, request)
	if !knowsNoBootstrap(err) {
		return err
	}
	conn, err := c.DialAnonymous(ctx, organization, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = Call(ctx, conn, protocol.OrganizationBootstrapV1, OrganizationBootstrapV1(request))
	return err
}

func knowsNoBootstrap(err error) bool {
	if failure, ok := errors.AsType[*client.HTTPError](err); ok {
		return failure.Status == http.StatusNotFound
	}
	return errors.Is(err, protocol.Refuse(protocol.StatusUnknownCommand, ""))
}
