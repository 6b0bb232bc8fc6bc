package mock

// models are the names that are listed; any other name works as well.
var models = []string{"mock-small", "mock-large"}

// modelList is a call of GET models.
type modelList struct{}

// modelCard is a call of GET models/{id}: the id.
type modelCard string

type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func newModelObject(id string) modelObject {
	const created = 1767225600 // the start of 2026
	return modelObject{ID: id, Object: "model", Created: created, OwnedBy: "runestone"}
}

func (modelList) prompt() (*prompt, error) { return new(prompt), nil }

func (modelList) whole(*prompt, []reply) any {
	var list struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}
	list.Object = "list"
	for _, id := range models {
		list.Data = append(list.Data, newModelObject(id))
	}
	return list
}

func (modelCard) prompt() (*prompt, error) { return new(prompt), nil }

func (id modelCard) whole(*prompt, []reply) any { return newModelObject(string(id)) }

var (
	_ endpoint = modelList{}
	_ endpoint = modelCard("")
)
