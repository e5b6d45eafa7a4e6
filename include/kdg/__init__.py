"""Makes and sends the partners' events, as the Kinesis Data Generator does: same templates, no browser, no Cognito."""
