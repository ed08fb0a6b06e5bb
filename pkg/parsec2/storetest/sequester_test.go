package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var sequesterChecks = []check{
	{"sequester services", sequesterServices},
	{"export of versions", exportVersions},
	{"export of blocks", exportBlocks},
	{"export of certificates", exportCertificates},
	{"export of nothing", exportNothing},
}

func sequesterServices(f *fixture) {
	f.bootstrap()
	var want []rules.SequesterService
	put := func(i int, service rules.SequesterService) {
		if i == len(want) {
			want = append(want, service)
		}
		want[i] = service
		given := service
		given.Certificate = append([]byte(nil), service.Certificate...)
		if service.DisabledOn != nil {
			given.DisabledOn = new(*service.DisabledOn)
		}
		f.queue(onOrganization(), func(tx rules.Tx) { tx.PutSequesterService(given) })
		clear(given.Certificate)
		if given.DisabledOn != nil {
			*given.DisabledOn++
		}
		got, err := f.store.SequesterServices(f.Context(), f.organization)
		f.no(err)
		equalList(f, "services", got, want)
		for i := range got { // The list is the caller's.
			if got[i].DisabledOn != nil {
				*got[i].DisabledOn++
			}
		}
		f.update(rules.Scope{}, func(tx rules.Tx) error {
			got, err := tx.SequesterServices(f.Context())
			if err != nil {
				return err
			}
			equalList(f, "services of a transaction", got, want)
			return nil
		})
	}
	storage := rules.SequesterService{
		ID: parsec.SequesterServiceID{0xff}, Label: "Storage", Certificate: []byte("storage"), CreatedOn: at(1),
	}
	webhook := rules.SequesterService{
		ID: parsec.SequesterServiceID{0x01}, Label: "Webhook", Certificate: []byte("webhook"),
		WebhookURL: "https://example.com/hook?key=1", CreatedOn: at(2),
	}
	put(0, storage)
	put(1, webhook)
	disabled := storage
	disabled.DisabledOn = new(at(3))
	put(0, disabled)
	put(0, storage)
}
