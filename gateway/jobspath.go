package gateway

import (
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
)

// JobsPath is where jobs are, each under its ID. The gateway answers for them itself.
const JobsPath = "/v1/overflow/"

// Jobs is what is asked under JobsPath.
const Jobs dialect.API = "overflow"

// APIOf returns the call that a path is.
func APIOf(path string) dialect.API {
	if strings.HasPrefix(path, JobsPath) {
		return Jobs
	}
	return dialect.APIOf(path)
}
