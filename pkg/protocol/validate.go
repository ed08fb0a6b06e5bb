package protocol

import "fmt"

// maxPerPage bounds a page of results (docs/protocol/types.md §5).
const maxPerPage = 100

// Validator is a request with bounds that its types do not express. Its error
// is a bad_message.
type Validator interface {
	Validate() error
}

func validatePages(page, perPage uint64) error {
	if page < 1 {
		return fmt.Errorf("page: must be at least 1")
	}
	if perPage < 1 || perPage > maxPerPage {
		return fmt.Errorf("per_page: must be between 1 and %d", maxPerPage)
	}
	return nil
}
