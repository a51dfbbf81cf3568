// webhook is what kube-apiserver calls in a pod: a validating admission webhook, which refuses objects with the label
// `forbidden`, and an aggregated API with one object, which says on which node it is. Nothing but the standard library.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strings"
)

const group = "/apis/drill.holdfast.dev"

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID    string `json:"uid"`
	Object struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	} `json:"object"`
}

type response struct {
	UID     string  `json:"uid"`
	Allowed bool    `json:"allowed"`
	Status  *status `json:"status,omitempty"`
}

type status struct {
	Message string `json:"message"`
}

func main() {
	listen := flag.String("listen", ":8443", "address")
	certificate := flag.String("certificate", "/webhook.pem", "certificate and key (PEM)")
	node := flag.String("node", "", "what the webhook says where it is")
	flag.Parse()
	http.HandleFunc("POST /validate", func(w http.ResponseWriter, r *http.Request) { validate(w, r, *node) })
	// Discovery first: the API server calls an API available that answers it.
	http.HandleFunc("GET "+group+"/v1", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": strings.TrimPrefix(group, "/apis/") + "/v1",
			"resources": []map[string]any{{"name": "places", "singularName": "place", "namespaced": false, "kind": "Place", "verbs": []string{"get"}}},
		})
	})
	http.HandleFunc("GET "+group+"/v1/places/here", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"kind": "Place", "apiVersion": "drill.holdfast.dev/v1",
			"metadata": map[string]string{"name": "here"}, "node": *node,
		})
	})
	log.Fatal(http.ListenAndServeTLS(*listen, *certificate, *certificate, nil))
}

func validate(w http.ResponseWriter, r *http.Request, node string) {
	var asked review
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Request == nil {
		http.Error(w, "no AdmissionReview", http.StatusBadRequest)
		return
	}
	said := &response{UID: asked.Request.UID, Allowed: true}
	if _, forbidden := asked.Request.Object.Metadata.Labels["forbidden"]; forbidden {
		said.Allowed = false
		said.Status = &status{Message: fmt.Sprintf("forbidden by the webhook at %s", node)}
	}
	answer(w, review{APIVersion: asked.APIVersion, Kind: asked.Kind, Response: said})
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(object); err != nil {
		log.Print(err)
	}
}
