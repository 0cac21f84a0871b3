module sluice/tests/clients/stripe-go

go 1.26

require github.com/stripe/stripe-go/v83 v83.2.1
