package server_test

import "io"

const bearer = "Authorization: Bearer " + administrationToken

// administrate returns the status and the body of an administration request.
func (f *fixture) administrate(method, path, body string, headers ...string) (int, string) {
	f.t.Helper()
	response := f.do(method, "/administration/"+path, []byte(body), append(headers, bearer)...)
	answer, err := io.ReadAll(response.Body)
	f.ok(err)
	return response.StatusCode, string(answer)
}

// administrationStep is a request, and the answer it must have.
type administrationStep struct {
	method, path, body string
	status             int
	answer             string
}

func (f *fixture) play(steps []administrationStep) {
	f.t.Helper()
	for _, step := range steps {
		status, answer := f.administrate(step.method, step.path, step.body)
		if status != step.status || answer != step.answer {
			f.t.Errorf("%s %s %s: HTTP %d %s, want %d %s", step.method, step.path, step.body, status, answer, step.status, step.answer)
		}
	}
}

const userNotFound = `{"error":"user_not_found"}`
